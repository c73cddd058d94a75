//! The clock and the randomness of a process.
//! Owns: the only reading of the wall clock and of the operating system's random source; their replayable stand-ins for tests.
//! Must not know: who asks, and what for.

mod virtual_time;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schema::Timestamp;

pub use virtual_time::VirtualTime;

/// Clock and randomness. A cheap clone: clones of a test environment share its clock and its random sequence.
#[derive(Clone)]
pub struct Env {
    source: Source,
}

#[derive(Clone)]
enum Source {
    System { started: Instant },
    Test(Arc<Mutex<TestSource>>),
    Virtual { time: VirtualTime, skew: i64, rng: Arc<Mutex<StdRng>> },
}

struct TestSource {
    now: Timestamp,
    elapsed: Duration,
    step: Duration,
    rng: StdRng,
}

impl Env {
    /// The machine's clock and random source.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn system() -> Self {
        Self { source: Source::System { started: Instant::now() } }
    }

    /// The clock of processor time, for code that gives its thread back after a while: the machine's, also where a query has another, but on the thread of a
    /// simulation one that stands still ([`crate::testing::stand_still`]), since how busy the machine is would decide there who goes next.
    pub fn processor() -> Self {
        if crate::testing::still::is_still() { Self::fixed(Timestamp(0)) } else { Self::system() }
    }

    /// A clock that stands at `now` until [`Env::advance`] moves it, and a random sequence that is the same in every run.
    pub fn fixed(now: Timestamp) -> Self {
        Self::seeded(now, 0)
    }

    /// As [`Env::fixed`], with the random sequence of `seed`.
    pub fn seeded(now: Timestamp, seed: u64) -> Self {
        let source = TestSource { now, elapsed: Duration::ZERO, step: Duration::ZERO, rng: StdRng::seed_from_u64(seed) };
        Self { source: Source::Test(Arc::new(Mutex::new(source))) }
    }

    /// A clock that starts at `now` and moves by `step` after every reading of either clock.
    pub fn stepping(now: Timestamp, step: Duration) -> Self {
        let source = TestSource { now, elapsed: Duration::ZERO, step, rng: StdRng::seed_from_u64(0) };
        Self { source: Source::Test(Arc::new(Mutex::new(source))) }
    }

    /// An environment of a simulation: its wall clock is `skew` nanoseconds ahead of `time`, its sleeps pass in `time`, its random sequence is that of `seed`.
    pub fn simulated(time: &VirtualTime, skew: i64, seed: u64) -> Self {
        Self { source: Source::Virtual { time: time.clone(), skew, rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) } }
    }

    /// Waits. In a simulation virtual time passes, everywhere else the machine's.
    pub async fn sleep(&self, wait: Duration) {
        match &self.source {
            Source::System { .. } | Source::Test(_) => tokio::time::sleep(wait).await,
            Source::Virtual { time, .. } => time.sleep(wait).await,
        }
    }

    /// Moves both clocks of a test environment forward; stops at the end of time. The system's clock and virtual time are not moved: no effect.
    pub fn advance(&self, by: Duration) {
        if let Source::Test(source) = &self.source {
            source.lock().advance(by);
        }
    }

    /// The wall clock. May step backwards when the machine's clock is corrected; clamped to the years a [`Timestamp`] can say.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System { .. } => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
                Err(before) => Timestamp(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)),
            },
            Source::Test(source) => {
                let mut source = source.lock();
                let now = source.now;
                let step = source.step;
                source.advance(step);
                now
            }
            Source::Virtual { time, skew, .. } => Timestamp(time.now().as_nanos().saturating_add(*skew)),
        }
    }

    /// Time since an arbitrary instant of this environment; never steps backwards. For measuring durations and deadlines.
    pub fn monotonic(&self) -> Duration {
        match &self.source {
            Source::System { started } => started.elapsed(),
            Source::Test(source) => {
                let mut source = source.lock();
                let elapsed = source.elapsed;
                let step = source.step;
                source.advance(step);
                elapsed
            }
            Source::Virtual { time, .. } => time.elapsed(),
        }
    }

    /// 64 random bits: unpredictable from the system, the next of the sequence in a test.
    pub fn random_u64(&self) -> u64 {
        match &self.source {
            Source::System { .. } => rand::rng().random(),
            Source::Test(source) => source.lock().rng.random(),
            Source::Virtual { rng, .. } => rng.lock().random(),
        }
    }
}

impl TestSource {
    fn advance(&mut self, by: Duration) {
        self.elapsed = self.elapsed.saturating_add(by);
        self.now = Timestamp(self.now.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)));
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::System { .. } => f.write_str("Env::system"),
            Source::Test(source) => write!(f, "Env::fixed({})", source.lock().now),
            Source::Virtual { time, skew, .. } => write!(f, "Env::simulated({}, {skew})", time.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_stands_still_in_a_simulation_only() {
        let before = Env::processor();
        assert!(matches!(before.source, Source::System { .. }));
        let still = crate::testing::stand_still();
        let clock = Env::processor();
        std::thread::yield_now();
        assert_eq!((clock.monotonic(), Env::processor().monotonic()), (Duration::ZERO, Duration::ZERO));
        drop(still);
        assert!(matches!(Env::processor().source, Source::System { .. }));
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let env = Env::fixed(Timestamp(100));
        let clone = env.clone();
        assert_eq!((env.now(), env.now()), (Timestamp(100), Timestamp(100)));
        clone.advance(Duration::from_nanos(7));
        assert_eq!((env.now(), env.monotonic()), (Timestamp(107), Duration::from_nanos(7)));
        env.advance(Duration::MAX);
        assert_eq!(env.now(), Timestamp::MAX);
    }

    #[test]
    fn a_stepping_clock_moves_after_every_reading() {
        let env = Env::stepping(Timestamp(0), Duration::from_nanos(5));
        assert_eq!((env.now(), env.now(), env.monotonic(), env.now()), (Timestamp(0), Timestamp(5), Duration::from_nanos(10), Timestamp(15)));
    }

    #[test]
    fn seeds_replay_and_differ() {
        let draw = |seed| {
            let env = Env::seeded(Timestamp(0), seed);
            [env.random_u64(), env.random_u64()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let [first, second] = draw(1);
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn virtual_time_jumps_to_the_next_sleeper_and_no_further() {
        let time = VirtualTime::starting_at(Timestamp(100));
        let (env, skewed) = (Env::simulated(&time, 0, 1), Env::simulated(&time, -5, 2));
        let woken = Arc::new(Mutex::new(Vec::new()));
        for (name, nanos) in [("late", 30), ("first", 10), ("second", 10)] {
            let (env, woken) = (env.clone(), Arc::clone(&woken));
            tokio::spawn(async move {
                env.sleep(Duration::from_nanos(nanos)).await;
                woken.lock().push((name, env.now().0));
            });
        }
        for seen in 0..=3 {
            // Everybody gets a turn, so that all are asleep.
            tokio::task::yield_now().await;
            assert_eq!((woken.lock().len(), time.advance()), (seen, seen < 3));
        }
        assert_eq!(*woken.lock(), [("first", 110), ("second", 110), ("late", 130)]);
        assert_eq!((skewed.now(), skewed.monotonic()), (Timestamp(125), Duration::from_nanos(30)));
    }

    #[test]
    fn the_system_clock_is_in_this_century_and_random_bits_vary() {
        let env = Env::system();
        let year_2020 = 1_577_836_800_000_000_000;
        assert!(env.now().0 > year_2020 && env.now().0 < 2 * year_2020);
        let before = env.monotonic();
        assert!(env.monotonic() >= before);
        assert_ne!(env.random_u64(), env.random_u64());
    }
}
