//! When an operator gives its thread back.
//! Owns: the longest time that one works before others have their turn, and with them the end of a query whose client left or whose time is up.

use std::time::Duration;

use store::env::Env;

/// How long an operator works before it yields.
const SHARE: Duration = Duration::from_millis(5);
/// A look at the clock after so much work costs nothing beside it.
const SHORT: Duration = Duration::from_micros(200);
/// Most pieces of work between two looks at the clock.
const MAX_STRIDE: u32 = 64;

/// Counts pieces of work, such as rows, and yields once they took [`SHARE`]. Cheap pieces are mostly only counted; dear ones are
/// each looked at, so that nothing but a single piece can hold the thread for long.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Env,
    /// When it yielded last.
    began: Duration,
    /// When it looked at the clock last.
    looked: Duration,
    stride: u32,
    left: u32,
}

impl Pace {
    /// Begins a share.
    pub(crate) fn new() -> Self {
        Self::of(Env::processor())
    }

    fn of(clock: Env) -> Self {
        let now = clock.monotonic();
        Self { clock, began: now, looked: now, stride: 1, left: 1 }
    }

    /// To be called after every piece of work. Yields when the share is used up. Cancel-safe.
    pub(crate) async fn worked(&mut self) {
        self.left -= 1;
        if self.left == 0 && self.is_used_up() {
            tokio::task::yield_now().await;
            self.began = self.clock.monotonic();
            self.looked = self.began;
        }
    }

    fn is_used_up(&mut self) -> bool {
        let now = self.clock.monotonic();
        self.stride = if now.saturating_sub(self.looked) < SHORT { (self.stride * 2).min(MAX_STRIDE) } else { 1 };
        self.looked = now;
        self.left = self.stride;
        now.saturating_sub(self.began) >= SHARE
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use schema::Timestamp;

    use super::*;

    /// After how many pieces of work, each taking `each`, it first yields.
    fn pieces_until_yield(each: Duration) -> usize {
        let clock = Env::fixed(Timestamp(0));
        let mut pace = Pace::of(clock.clone());
        let worked = (1..).find(|_| {
            clock.advance(each);
            pace.worked().now_or_never().is_none()
        });
        worked.unwrap_or(0)
    }

    #[test]
    fn dear_work_yields_after_each_piece_and_cheap_work_by_the_share() {
        assert_eq!(pieces_until_yield(Duration::from_secs(1)), 1);
        assert_eq!(pieces_until_yield(Duration::from_millis(2)), 3);
        let cheap = pieces_until_yield(Duration::from_micros(1));
        assert!((5000..5100).contains(&cheap), "{cheap}");
    }

    #[test]
    fn work_that_becomes_dear_is_noticed_within_a_stride() {
        let clock = Env::fixed(Timestamp(0));
        let mut pace = Pace::of(clock.clone());
        for _ in 0..1000 {
            assert!(pace.worked().now_or_never().is_some());
        }
        clock.advance(Duration::from_millis(10));
        let more = (1..=64).find(|_| pace.worked().now_or_never().is_none());
        assert!(more.is_some());
    }
}
