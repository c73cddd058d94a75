//! Rows of a series folded into buckets, for functions whose value over a window follows from the values over its parts.
//! Every window starts and ends on a multiple of the greatest common divisor of range and step, counted from the first
//! window's start; a bucket of that width holds what the function needs of its rows. A row is touched once, whatever the
//! overlap of windows, and memory follows the time covered, not the number of rows.

use std::collections::VecDeque;

use logql::ast::RangeOp;

use super::{float, next_average};
use crate::logical::RangeFunction;

/// More buckets than this are not kept: range and step with a tiny common divisor.
const MAX_BUCKETS: i64 = 100_000;

/// What a function keeps of some rows. Which fields it reads depends on the function.
#[derive(Clone, Copy, Debug)]
struct Partial {
    count: f64,
    /// Sum, mean, least, greatest, first or last value.
    value: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    /// When the first or last value was logged.
    at: i64,
}

/// The buckets of one series.
#[derive(Debug)]
pub(super) struct Buckets {
    first: usize,
    partials: VecDeque<Option<Partial>>,
}

/// Width of a bucket in nanoseconds and number of buckets, where the function can be computed from buckets.
fn layout(function: &RangeFunction) -> Option<(i64, i64)> {
    let mergeable = matches!(
        function.op,
        RangeOp::SumOverTime
            | RangeOp::Rate
            | RangeOp::AvgOverTime
            | RangeOp::MinOverTime
            | RangeOp::MaxOverTime
            | RangeOp::StdvarOverTime
            | RangeOp::StddevOverTime
            | RangeOp::FirstOverTime
            | RangeOp::LastOverTime
    );
    if !mergeable || function.range <= 0 {
        return None;
    }
    let steps = i64::try_from(function.steps.count).ok()?.checked_sub(1)?;
    let width = if steps == 0 { function.range } else { greatest_common_divisor(function.range, function.steps.step) };
    let covered = function.steps.step.checked_mul(steps)?.checked_add(function.range)?;
    let buckets = covered / width;
    (buckets <= MAX_BUCKETS).then_some((width, buckets))
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

impl Buckets {
    /// Empty buckets; `None` where the function needs every row.
    pub(super) fn new(function: &RangeFunction) -> Option<Self> {
        layout(function).map(|_| Self { first: 0, partials: VecDeque::new() })
    }

    /// Memory that the buckets take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.partials.capacity() * size_of::<Option<Partial>>()
    }

    /// Adds a row that lies in some window.
    pub(super) fn add(&mut self, function: &RangeFunction, timestamp: i64, value: f64) {
        let Some((width, _)) = layout(function) else { return };
        // Buckets are open on the left and closed on the right, as windows are.
        let from_start = timestamp.saturating_sub(window_start(function)).saturating_sub(1);
        let Ok(index) = usize::try_from(from_start.div_euclid(width)) else { return };
        if self.partials.is_empty() {
            self.first = index;
        }
        while index < self.first {
            self.partials.push_front(None);
            self.first -= 1;
        }
        let at = index - self.first;
        if at >= self.partials.len() {
            self.partials.resize(at + 1, None);
        }
        if let Some(slot) = self.partials.get_mut(at) {
            let row = Partial { count: 1.0, value, squares: 0.0, at: timestamp };
            *slot = Some(slot.map_or(row, |known| merge(function.op, known, row)));
        }
    }

    /// (step, value) of every step whose window holds a row, ascending.
    pub(super) fn finish(self, function: &RangeFunction) -> Vec<(usize, f64)> {
        let Some((width, _)) = layout(function) else { return Vec::new() };
        let (per_step, per_window) = (function.steps.step / width, function.range / width);
        let place = |bucket: i64| usize::try_from(bucket).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        for step in 0..function.steps.count {
            let start = place(i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(per_step));
            let end = start.saturating_add(place(per_window));
            let held = self.partials.iter().enumerate().skip(start.saturating_sub(self.first)).take_while(|(at, _)| at + self.first < end);
            let whole = held.filter(|(at, _)| at + self.first >= start).filter_map(|(_, partial)| *partial).reduce(|a, b| merge(function.op, a, b));
            out.extend(whole.map(|whole| (step, result(function, whole))));
        }
        out
    }
}

/// Where the first window starts.
fn window_start(function: &RangeFunction) -> i64 {
    function.steps.start.saturating_sub(function.offset).saturating_sub(function.range)
}

/// What the rows of `a` and of `b` have together. Of two first or last values at one instant, `a` came earlier.
fn merge(op: RangeOp, a: Partial, b: Partial) -> Partial {
    let count = a.count + b.count;
    match op {
        RangeOp::AvgOverTime if b.count == 1.0 => Partial { count, value: next_average(a.value, count, b.value), ..a },
        RangeOp::AvgOverTime => Partial { count, value: a.value * (a.count / count) + b.value * (b.count / count), ..a },
        RangeOp::MinOverTime => Partial { value: if b.value < a.value || a.value.is_nan() { b.value } else { a.value }, ..a },
        RangeOp::MaxOverTime => Partial { value: if b.value > a.value || a.value.is_nan() { b.value } else { a.value }, ..a },
        RangeOp::StdvarOverTime | RangeOp::StddevOverTime => {
            let delta = b.value - a.value;
            let squares = a.squares + b.squares + delta * delta * (a.count * b.count / count);
            Partial { count, value: a.value + delta * (b.count / count), squares, ..a }
        }
        RangeOp::FirstOverTime => {
            if b.at < a.at {
                b
            } else {
                a
            }
        }
        RangeOp::LastOverTime => {
            if b.at >= a.at {
                b
            } else {
                a
            }
        }
        _ => Partial { value: a.value + b.value, ..a },
    }
}

fn result(function: &RangeFunction, whole: Partial) -> f64 {
    match function.op {
        RangeOp::Rate => whole.value / (float(function.range) / super::SECOND),
        RangeOp::StdvarOverTime => whole.squares / whole.count,
        RangeOp::StddevOverTime => (whole.squares / whole.count).sqrt(),
        _ => whole.value,
    }
}
