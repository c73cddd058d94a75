//! Writers: clients that push batches, try again when they get no answer, and sometimes long after they got one.
//! Owns: what is pushed. Must not know: what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use schema::RowBatch;
use store::chunk::{build, commit};

use super::rows::{RowName, SimRow, batch_of};
use super::scenario::{a_time, between, mortal, one_of, rng};
use super::world::{Process, World};

/// What a client remembers while the processes that it pushes to come and go.
#[derive(Debug, Default)]
pub struct Memory {
    rows: u64,
    /// Batches to push once more.
    later: Vec<(Duration, Vec<SimRow>)>,
}

/// A writer's life.
pub async fn live(world: Arc<World>, name: String, incarnation: u32, memory: Arc<Mutex<Memory>>) {
    let process = world.process(&name, incarnation);
    let mut rng = rng(world.scenario.seed, &format!("{name} {incarnation}"));
    let pause = world.scenario.length / u32::try_from(world.scenario.pushes).unwrap_or(1);
    while !world.is_over() {
        world.time.sleep(between(&mut rng, Duration::ZERO, 2 * pause)).await;
        let tenant = rng.random_range(0..world.scenario.tenants.len());
        let mut batches: Vec<Vec<SimRow>> = Vec::new();
        let now = world.time.elapsed();
        {
            let mut memory = memory.lock();
            let due = memory.later.iter().position(|(at, rows)| *at <= now && rows.first().is_some_and(|row| row.tenant == tenant));
            if let Some(due) = due {
                batches.push(memory.later.swap_remove(due).1);
            }
            if batches.is_empty() || rng.random() {
                // Pushes of one tenant that meet share an object.
                for _ in 0..one_of(&mut rng, &[1, 1, 1, 2, 3]) {
                    batches.push(new_batch(&mut rng, &name, tenant, process.env.now().as_nanos(), &mut memory));
                }
            }
            for batch in &batches {
                if rng.random_bool(0.2) {
                    let longest = Duration::from_secs(one_of(&mut rng, &[600, 3 * 3600, 12 * 3600]));
                    memory.later.push((now + between(&mut rng, Duration::ZERO, longest), batch.clone()));
                }
            }
        }
        for _ in 0..rng.random_range(1..=3u32) {
            match mortal(&world, &mut rng, 3, push(&world, &process, &batches)).await {
                Some(true) => break,
                Some(false) => {}
                None => world.note(format!("{name} dies")),
            }
            world.time.sleep(between(&mut rng, Duration::ZERO, Duration::from_secs(30))).await;
        }
    }
}

fn new_batch(rng: &mut StdRng, writer: &str, tenant: usize, now: i64, memory: &mut Memory) -> Vec<SimRow> {
    let mut rows: Vec<SimRow> = Vec::new();
    let one_time = rng.random_bool(0.3).then(|| a_time(rng, now));
    for _ in 0..rng.random_range(1..=7u32) {
        memory.rows += 1;
        let app = rng.random_range(0..4u32);
        let mut labels = vec![("app".to_owned(), format!("app-{app}"))];
        labels.push(("env".to_owned(), if rng.random_bool(0.25) { "short" } else { "long" }.to_owned()));
        if app > 0 {
            labels.push(("service_name".to_owned(), format!("s{}", app % 3)));
        }
        let metadata = if rng.random() { vec![("trace".to_owned(), format!("t{}", rng.random_range(0..3u32)))] } else { Vec::new() };
        let line = format!("{writer} {} tag{}", memory.rows, rng.random_range(0..3u32));
        let at = one_time.unwrap_or_else(|| a_time(rng, now));
        rows.push(SimRow { tenant, labels, at, line, metadata });
        if rng.random_bool(0.05) {
            rows.extend(rows.last().cloned());
        }
    }
    rows
}

/// Pushes the batches as one object. Whether they are acknowledged.
async fn push(world: &Arc<World>, process: &Process, batches: &[Vec<SimRow>]) -> bool {
    let rows = batches.concat();
    let tenant = rows.first().and_then(|row| world.scenario.tenants.get(row.tenant));
    let (Some(tenant), Ok(encoded)) = (tenant, batches.iter().map(|rows| batch_of(rows)).collect::<anyhow::Result<Vec<RowBatch>>>()) else {
        world.fail("the simulation made a bad batch");
        return true;
    };
    let chunk = match build(tenant, &encoded) {
        Ok(chunk) => chunk,
        Err(error) => {
            world.fail(format!("{}: {}", process.name, error.chain()));
            return true;
        }
    };
    let key = chunk.key.to_string();
    let (names, again) = world.with(|state| state.model.begin_push(&rows, &key));
    world.note(format!("{} pushes {} rows as {key}", process.name, names.len()));
    world.with(|state| state.tally.retried += u64::from(again));
    let attempt = Attempt { world: Arc::clone(world), names, acknowledged: false };
    match commit(&process.client, &chunk).await {
        Ok(outcome) => {
            world.note(format!("{} is acknowledged: {outcome:?}", process.name));
            attempt.acknowledge();
            true
        }
        Err(error) if error.is_retryable() => {
            world.note(format!("{} is in doubt: {error}", process.name));
            false
        }
        Err(error) => {
            world.fail(format!("{}: {}", process.name, error.chain()));
            true
        }
    }
}

/// A push that ends when this is dropped, by an answer or because its process was killed.
struct Attempt {
    world: Arc<World>,
    names: Vec<RowName>,
    acknowledged: bool,
}

impl Attempt {
    fn acknowledge(mut self) {
        self.acknowledged = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.world.with(|state| {
            state.tally.acknowledged += u64::from(self.acknowledged);
            state.tally.in_doubt += u64::from(!self.acknowledged);
            state.model.end_push(&self.names, self.acknowledged);
        });
    }
}
