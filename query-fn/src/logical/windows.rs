//! When the windows of a range aggregation begin and end.

use std::ops::Range;

use super::Steps;

/// One window a step: that of instant `t` is `(t - offset - range, t - offset]`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// Width of a window.
    pub range: i64,
    /// How far back it lies.
    pub offset: i64,
    /// Its instants.
    pub steps: Steps,
}

impl Windows {
    /// The steps whose windows hold this time; empty where none does. Neither end falls when the time rises.
    pub fn steps_of(&self, timestamp: i64) -> Range<usize> {
        let shifted = timestamp.saturating_add(self.offset);
        self.steps.first_at_or_after(shifted)..self.steps.first_at_or_after(shifted.saturating_add(self.range))
    }

    /// The steps whose windows hold all times of the closed interval, where no window holds only some of them.
    pub fn steps_of_all(&self, first: i64, last: i64) -> Option<Range<usize>> {
        let steps = self.steps_of(first);
        (steps == self.steps_of(last)).then_some(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_belongs_to_windows_that_hold_all_of_it() {
        // (0, 60], (60, 120], (120, 180]
        let windows = Windows { range: 60, offset: 0, steps: Steps { start: 60, step: 60, count: 3 } };
        assert_eq!(windows.steps_of_all(1, 60), Some(0..1));
        assert_eq!(windows.steps_of_all(61, 61), Some(1..2));
        assert_eq!(windows.steps_of_all(0, 60), None);
        assert_eq!(windows.steps_of_all(60, 61), None);
        assert_eq!(windows.steps_of_all(200, 300).map(|steps| steps.is_empty()), Some(true));
        let overlapping = Windows { range: 120, offset: 30, ..windows };
        assert_eq!(overlapping.steps_of_all(-29, 30), Some(0..2));
        assert_eq!(overlapping.steps_of_all(-30, 30), None);
    }

    /// An interval over a whole window and beyond has the same end on both sides, and must not be taken for one between windows.
    #[test]
    fn gaps_between_windows_are_not_bridged() {
        let windows = Windows { range: 10, offset: 0, steps: Steps { start: 100, step: 100, count: 3 } };
        assert_eq!(windows.steps_of_all(101, 190).map(|steps| steps.is_empty()), Some(true));
        assert_eq!(windows.steps_of_all(101, 191), None);
        assert_eq!(windows.steps_of_all(150, 250), None);
    }
}
