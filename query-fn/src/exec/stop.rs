//! How far a scan under a limit still has to look.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::logical::Direction;

/// The time of the worst row that is still among the first rows found so far. Rows that lie beyond cannot be in the answer;
/// rows at the same instant may. Shared by the operator that keeps the first rows and the scans below it.
#[derive(Debug)]
pub(crate) struct StopState {
    direction: Direction,
    worst: AtomicI64,
}

impl StopState {
    pub(crate) const fn new(direction: Direction) -> Self {
        let everything = match direction {
            Direction::Forward => i64::MAX,
            Direction::Backward => i64::MIN,
        };
        Self { direction, worst: AtomicI64::new(everything) }
    }

    /// The limit is reached, and `worst` is the time of the last row in it.
    pub(super) fn narrow(&self, worst: i64) {
        match self.direction {
            Direction::Forward => self.worst.fetch_min(worst, Ordering::Relaxed),
            Direction::Backward => self.worst.fetch_max(worst, Ordering::Relaxed),
        };
    }

    /// First and last instant that rows may still come from.
    pub(super) fn open_range(&self) -> (i64, i64) {
        let worst = self.worst.load(Ordering::Relaxed);
        match self.direction {
            Direction::Forward => (i64::MIN, worst),
            Direction::Backward => (worst, i64::MAX),
        }
    }
}
