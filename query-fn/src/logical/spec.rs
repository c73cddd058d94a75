//! What a query asks for, before anything is planned.

use schema::{TenantSet, Timestamp};

/// Which end of the time range a log query reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

impl Direction {
    /// As the HTTP API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evaluation {
    /// Log queries: lines of `[start, end)`. Metric queries: `start`, `start + step`, ... up to and including `end`, after
    /// both ends were moved outwards to multiples of the step.
    Range {
        /// First instant.
        start: Timestamp,
        /// Last instant.
        end: Timestamp,
        /// Nanoseconds between two evaluations, at least 1. Log queries do not read it.
        step_ns: i64,
    },
    /// Metric queries only: one evaluation.
    Instant {
        /// When.
        at: Timestamp,
    },
}

/// A query and how to answer it.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySpec {
    /// Whose data is read. What is read of several tenants has the label `__tenant_id__`.
    pub tenants: TenantSet,
    /// The expression.
    pub expr: logql::Expr,
    /// When it is evaluated.
    pub evaluation: Evaluation,
    /// Log queries: most entries in the answer.
    pub limit: usize,
    /// Log queries: from which end.
    pub direction: Direction,
    /// Log queries: least time between two entries of the answer over all streams, in nanoseconds; 0 thins nothing.
    pub interval_ns: i64,
}

/// The instants at which a metric expression is evaluated, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    /// The first.
    pub start: i64,
    /// From one to the next, at least 1.
    pub step: i64,
    /// How many, at least 1.
    pub count: usize,
}

impl Steps {
    /// The instants of `evaluation`. Ranges are aligned to the step: start down, end up to a multiple of it since the epoch
    /// (spec/logql.md section 4).
    pub fn of(evaluation: &Evaluation) -> Self {
        match *evaluation {
            Evaluation::Instant { at } => Self { start: at.as_nanos(), step: 1, count: 1 },
            Evaluation::Range { start, end, step_ns } => {
                let step = step_ns.max(1);
                let first = start.as_nanos().div_euclid(step).saturating_mul(step);
                let end = end.as_nanos();
                let last = match end.rem_euclid(step) {
                    0 => end,
                    over => end.saturating_add(step - over),
                };
                let count = last.saturating_sub(first).max(0) / step;
                Self { start: first, step, count: usize::try_from(count).unwrap_or(usize::MAX).saturating_add(1) }
            }
        }
    }

    /// Instant number `index`.
    pub fn at(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    /// The last instant.
    pub fn last(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// Index of the first instant at or after `at`; `count` where there is none.
    pub fn first_at_or_after(&self, at: i64) -> usize {
        let distance = at.saturating_sub(self.start);
        if distance <= 0 {
            return 0;
        }
        usize::try_from((distance - 1) / self.step.max(1)).unwrap_or(usize::MAX).saturating_add(1).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: i64, end: i64, step_ns: i64) -> Steps {
        Steps::of(&Evaluation::Range { start: Timestamp(start), end: Timestamp(end), step_ns })
    }

    #[test]
    fn ranges_are_aligned_outwards() {
        assert_eq!(range(101, 199, 50), Steps { start: 100, step: 50, count: 3 });
        assert_eq!(range(100, 200, 50), Steps { start: 100, step: 50, count: 3 });
        assert_eq!(range(-101, -99, 50), Steps { start: -150, step: 50, count: 3 });
        assert_eq!(range(100, 100, 50), Steps { start: 100, step: 50, count: 1 });
        assert_eq!(range(100, 200, 50).last(), 200);
    }

    #[test]
    fn instants_are_found_by_time() {
        let steps = range(100, 200, 50);
        let found: Vec<usize> = [0, 100, 101, 150, 151, 200, 201, i64::MAX].iter().map(|&at| steps.first_at_or_after(at)).collect();
        assert_eq!(found, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
