//! A simulation of a whole Tarn from one seed: writers, readers, compactors, deletes and their clocks, on one store in memory behind a network that delays, loses,
//! repeats and holds requests, in virtual time. The same seed gives the same events in the same order.
//! Owns: who does what when, and what must be true of every answer and of every object: the invariants of ARCHITECTURE.md and RFC 0002.
//! Must not know: how a chunk is encoded, how compaction decides.
//!
//! [`scenario`] draws from the seed who takes part; [`world`] is what they share, with [`model`], which knows what was pushed and may be answered, [`mirror`], which watches
//! every object, and [`trace`]; the actors are [`writer`], [`reader`], [`querier`], [`deleter`] and [`compacting`]; [`finale`] lets everything come to rest and looks at what is left.

pub mod compacting;
pub mod deleter;
pub mod finale;
pub mod mirror;
pub mod model;
pub mod querier;
pub mod reader;
pub mod rows;
pub mod scenario;
pub mod supervisor;
pub mod trace;
pub mod world;
pub mod writer;

use std::sync::Arc;

use futures::future::Either;
use store::env::VirtualTime;
use tokio::sync::Notify;

use self::scenario::Scenario;
use self::world::World;

/// How a simulation ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Number of events.
    pub events: u64,
    /// Hash of all events: equal for two runs that went the same way.
    pub hash: u64,
    /// What happened how often.
    pub tally: Tally,
    /// The first broken invariant, and the last events before it.
    pub failure: Option<String>,
}

/// What a simulation went through: a test of many seeds sees to it that nothing of it is always 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pushes that were acknowledged, and those whose outcome is not known.
    pub acknowledged: u64,
    /// As said.
    pub in_doubt: u64,
    /// Pushes of rows that had been pushed before.
    pub retried: u64,
    /// Answers that were checked.
    pub queries: u64,
    /// Merges that were committed.
    pub jobs: u64,
    /// Commits that lost a race.
    pub conflicts: u64,
    /// Objects that garbage collection deleted.
    pub collected: u64,
    /// Orphans found.
    pub orphans: u64,
    /// Delete requests carried out.
    pub deletes: u64,
    /// Delete requests taken back.
    pub cancelled: u64,
    /// Rows left out because of a delete request or their age.
    pub removed: u64,
    /// Actors that were killed.
    pub killed: u64,
    /// Requests that were held.
    pub held: u64,
}

impl Tally {
    /// Adds another simulation's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts_mut().into_iter().zip(other.clone().counts_mut()) {
            *sum += *more;
        }
    }

    fn counts_mut(&mut self) -> [&mut u64; 13] {
        let Self { acknowledged, in_doubt, retried, queries, jobs, conflicts, collected, orphans, deletes, cancelled, removed, killed, held } = self;
        [acknowledged, in_doubt, retried, queries, jobs, conflicts, collected, orphans, deletes, cancelled, removed, killed, held]
    }

    /// Whether everything happened at least once.
    pub fn is_complete(mut self) -> bool {
        self.counts_mut().into_iter().all(|count| *count > 0)
    }
}

/// Runs the simulation of `seed`, on this thread. Errors: what the machine cannot do; a broken invariant is an outcome.
pub fn run(seed: u64) -> anyhow::Result<Outcome> {
    let _computing_takes_no_time = store::testing::stand_still();
    let scenario = Scenario::of(seed);
    let time = VirtualTime::starting_at(scenario.start);
    let (clock, stuck) = (time.clone(), Arc::new(Notify::new()));
    let nobody_sleeps = Arc::clone(&stuck);
    // Parking means that every task waits: then time passes.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_park(move || {
            if !clock.advance() {
                nobody_sleeps.notify_one();
            }
        })
        .build()?;
    let world = World::new(scenario, time)?;
    let main = Arc::clone(&world);
    runtime.block_on(async move {
        let life = tokio::spawn(async move { supervisor::live(&main).await });
        match futures::future::select(life, std::pin::pin!(stuck.notified())).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => world.fail(format!("the simulation ended by itself: {error}")),
            Either::Right(_) => world.fail("the simulation is stuck: everybody waits for somebody else"),
        }
        Ok(world.outcome())
    })
}
