//! Who takes part in a simulation, drawn from its seed.
//! Owns: numbers, settings, clocks. Must not know: what the actors do.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use compactor::{PlanSettings, RetentionRule, Settings, TenantSettings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schema::day::{NANOS_PER_DAY, NANOS_PER_HOUR};
use schema::{MatchOp, Matcher, TenantId, Timestamp};
use store::testing::Weather;

use super::world::World;

/// 2026-11-01T00:00:00Z.
const FIRST_DAY: i64 = 1_793_491_200 * 1_000_000_000;
/// Most that two clocks differ from virtual time.
pub const MAX_SKEW: Duration = Duration::from_secs(45);

/// What a seed says.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Where time begins.
    pub start: Timestamp,
    /// How long writers and readers are at work, in virtual time.
    pub length: Duration,
    /// Whose rows there are.
    pub tenants: Vec<TenantId>,
    /// Number of writers.
    pub writers: usize,
    /// Pushes of each writer, about.
    pub pushes: usize,
    /// Number of readers.
    pub readers: usize,
    /// Number of readers that use the query engine.
    pub queriers: usize,
    /// Queries of each reader, about.
    pub queries: usize,
    /// Number of compactors.
    pub compactors: usize,
    /// Time between two runs of a compactor, at most.
    pub rest: Duration,
    /// Delete requests.
    pub deletes: usize,
    /// Time from one kill of an actor to the next, at most; `None`: nobody is killed.
    pub lives: Option<Duration>,
    /// One commit, query or run of a compactor in so many dies on its way; `None`: none.
    pub deaths: Option<u32>,
    /// The network's.
    pub weather: Weather,
    /// What compactors are told.
    pub settings: Settings,
}

/// A random sequence of its own for each purpose, so that one actor's draws do not move another's.
pub fn rng(seed: u64, purpose: &str) -> StdRng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(purpose.as_bytes());
    StdRng::from_seed(*hasher.finalize().as_bytes())
}

/// One of `choices`.
pub fn one_of<T: Copy + Default>(rng: &mut StdRng, choices: &[T]) -> T {
    choices.get(rng.random_range(0..choices.len())).copied().unwrap_or_default()
}

/// Between `low` and `high`.
pub fn between(rng: &mut StdRng, low: Duration, high: Duration) -> Duration {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.random_range(nanos(low)..=nanos(high.max(low))))
}

/// What `work` comes to; `None` if it was dropped on its way, at the latest after so many travels of a request.
pub async fn mortal<T>(world: &World, rng: &mut StdRng, requests: u32, work: impl Future<Output = T> + Send) -> Option<T> {
    if world.scenario.deaths.is_none_or(|one_in| rng.random_range(0..one_in) != 0) {
        return Some(work.await);
    }
    let death = world.time.sleep(between(rng, Duration::ZERO, world.scenario.weather.delay * requests));
    match futures::future::select(std::pin::pin!(work), std::pin::pin!(death)).await {
        futures::future::Either::Left((done, _)) => Some(done),
        futures::future::Either::Right(_) => {
            world.with(|state| state.tally.killed += 1);
            None
        }
    }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

impl Scenario {
    /// What `seed` says.
    pub fn of(seed: u64) -> Self {
        let mut rng = rng(seed, "scenario");
        let rng = &mut rng;
        let start = Timestamp(FIRST_DAY + rng.random_range(0..24) * NANOS_PER_HOUR + rng.random_range(0..3) * (NANOS_PER_HOUR / 2 - 1));
        let tenants: Vec<TenantId> = ["a", "a-b", "fake"].into_iter().take(rng.random_range(1..=3)).filter_map(|name| TenantId::parse(name).ok()).collect();
        let rest = Duration::from_secs(one_of(rng, &[20, 120, 600, 2400]));
        let length = between(rng, minutes(30), minutes(12 * 60)).min(rest * 60);
        let hold_one_in = one_of(rng, &[0, 300, 100, 30]);
        let weather = Weather {
            delay: Duration::from_millis(one_of(rng, &[2, 50, 400, 3000])),
            fault_one_in: one_of(rng, &[0, 40, 8, 3]),
            hold_one_in,
            hold: between(rng, minutes(5), minutes(6 * 60)),
            late: minutes(rng.random_range(1..40)),
            page_keys: one_of(rng, &[1, 3, 10, 1000]),
        };
        Self {
            seed,
            start,
            length,
            writers: rng.random_range(2..=5),
            pushes: rng.random_range(4..=12),
            readers: rng.random_range(1..=2),
            queriers: rng.random_range(1..=2),
            queries: rng.random_range(6..=16),
            compactors: rng.random_range(1..=3),
            rest,
            deletes: rng.random_range(0..=6),
            lives: rng.random_bool(0.6).then(|| length / rng.random_range(1..=8u32)),
            deaths: rng.random_bool(0.5).then(|| rng.random_range(2..=12)),
            weather,
            settings: settings(rng, &tenants),
            tenants,
        }
    }
}

fn settings(rng: &mut StdRng, tenants: &[TenantId]) -> Settings {
    let rule = |value: &str, hours: u64| {
        let matchers = Matcher::new("env", MatchOp::Equal, value).into_iter().collect();
        RetentionRule { matchers, priority: 1, period: Duration::from_secs(hours * 3600) }
    };
    let mut by_tenant = HashMap::new();
    if let Some(tenant) = tenants.get(1) {
        let retention = Some(Duration::from_secs(rng.random_range(20..=60) * 3600));
        by_tenant
            .insert(tenant.clone(), TenantSettings { retention, retention_rules: vec![rule("short", rng.random_range(1..=6))], ..TenantSettings::default() });
    }
    if let Some(tenant) = tenants.get(2) {
        let partition_labels = vec!["env".to_owned(), "service_name".to_owned()];
        by_tenant.insert(tenant.clone(), TenantSettings { partition_labels, retention_rules: vec![rule("short", 2)], ..TenantSettings::default() });
    }
    let plan = PlanSettings {
        min_level0: rng.random_range(1..=5),
        level0_rest: between(rng, minutes(1), minutes(30)),
        min_merge: rng.random_range(2..=4),
        hour_rest: between(rng, minutes(1), minutes(20)),
        day_rest: between(rng, minutes(1), minutes(60)),
        // Rows are some 20 bytes long: files of several rows, partitions with files of their own.
        small_bytes: rng.random_range(50..=2000),
        partition_bytes: rng.random_range(20..=400),
        file_bytes: rng.random_range(30..=3000),
        max_inputs: rng.random_range(2..=12),
        ..PlanSettings::default()
    };
    Settings {
        default: TenantSettings::default(),
        tenants: by_tenant,
        grace: minutes(rng.random_range(4..=30)),
        orphan_grace: minutes(rng.random_range(5..=60)),
        delete_cancel_period: minutes(rng.random_range(3..=60)),
        plan,
    }
}

/// Instants that rows and queries like to begin and end at.
pub fn a_time(rng: &mut StdRng, now: i64) -> i64 {
    let midnight = now.div_euclid(NANOS_PER_DAY) * NANOS_PER_DAY;
    let minute = now.div_euclid(60_000_000_000) * 60_000_000_000;
    match rng.random_range(0..16u32) {
        0..=6 => now - rng.random_range(0..30_000_000_000),
        7 => minute,
        8 => minute - rng.random_range(0..3) * NANOS_PER_HOUR + rng.random_range(-1..=1),
        9 => midnight,
        10 => midnight - rng.random_range(0..=1),
        11 => midnight + NANOS_PER_DAY - rng.random_range(0..=1),
        12 => now - rng.random_range(0..3) * NANOS_PER_DAY,
        13 => now - rng.random_range(0..8 * NANOS_PER_HOUR),
        14 => now + rng.random_range(0..2) * NANOS_PER_DAY + rng.random_range(0..NANOS_PER_HOUR),
        _ => one_of(rng, &[0, -1, FIRST_DAY + 90 * NANOS_PER_DAY, 4_102_444_800_000_000_000, i64::MIN, i64::MAX - 1]),
    }
}
