//! Range functions over the rows of one series. Pure.
//! Source of each function: spec/logql.md section 4.

mod buckets;

use std::collections::VecDeque;

use logql::ast::RangeOp;

use crate::logical::RangeFunction;
use buckets::Buckets;

/// Nanoseconds in a second, as a floating-point number.
const SECOND: f64 = 1e9;

/// Changes from one step to the next; summed up they give the value at each step, so a row that lies in many windows
/// costs two additions.
#[derive(Debug, Default)]
struct Differences {
    first: usize,
    changes: VecDeque<i64>,
}

impl Differences {
    /// Adds `amount` to the steps `from..to`.
    fn add(&mut self, from: usize, to: usize, amount: i64) {
        self.change(from, amount);
        self.change(to, -amount);
    }

    fn change(&mut self, index: usize, amount: i64) {
        if self.changes.is_empty() {
            self.first = index;
        }
        while index < self.first {
            self.changes.push_front(0);
            self.first -= 1;
        }
        let at = index - self.first;
        if at >= self.changes.len() {
            self.changes.resize(at + 1, 0);
        }
        if let Some(change) = self.changes.get_mut(at) {
            *change += amount;
        }
    }

    /// The value at each step from the first change to the last.
    fn values(&self) -> impl Iterator<Item = i64> + '_ {
        self.changes.iter().scan(0, |sum, change| {
            *sum += change;
            Some(*sum)
        })
    }

    fn bytes(&self) -> usize {
        self.changes.capacity() * size_of::<i64>()
    }
}

/// What a row, or a sum of rows, adds to the functions that count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// Rows.
    pub(super) rows: i64,
    /// Line bytes; 0 where the function does not read them.
    pub(super) bytes: i64,
}

/// The rows of one series, as far as the function needs them.
#[derive(Debug)]
pub(super) struct SeriesWindow {
    rows: Differences,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Count,
    Bytes(Differences),
    Buckets(Buckets),
    /// Every row: functions that need all values at once, and windows that share no buckets.
    Values(Vec<(i64, f64)>),
}

impl SeriesWindow {
    pub(super) fn new(function: &RangeFunction) -> Self {
        let held = match function.op {
            _ if function.unwrapped => Buckets::new(function).map_or_else(|| Held::Values(Vec::new()), Held::Buckets),
            RangeOp::BytesOverTime | RangeOp::BytesRate => Held::Bytes(Differences::default()),
            _ => Held::Count,
        };
        Self { rows: Differences::default(), held }
    }

    /// Adds a row, or rows that lie in the same windows. `value` is read by the functions over an unwrapped label, which take single rows.
    pub(super) fn add(&mut self, function: &RangeFunction, timestamp: i64, weight: Weight, value: f64) {
        let steps = function.windows().steps_of(timestamp);
        if steps.is_empty() {
            return;
        }
        match &mut self.held {
            Held::Buckets(buckets) => return buckets.add(function, timestamp, value),
            Held::Values(values) => return values.push((timestamp, value)),
            Held::Bytes(bytes) => bytes.add(steps.start, steps.end, weight.bytes),
            Held::Count => {}
        }
        self.rows.add(steps.start, steps.end, weight.rows);
    }

    /// Memory that the rows take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.rows.bytes()
            + match &self.held {
                Held::Count => 0,
                Held::Bytes(bytes) => bytes.bytes(),
                Held::Buckets(buckets) => buckets.bytes(),
                Held::Values(values) => values.capacity() * size_of::<(i64, f64)>(),
            }
    }

    /// (step, value) of every step whose window holds a row, ascending.
    pub(super) fn finish(self, function: &RangeFunction) -> Vec<(usize, f64)> {
        let seconds = float(function.range) / SECOND;
        let divisor = if matches!(function.op, RangeOp::Rate | RangeOp::BytesRate) { seconds } else { 1.0 };
        let first = self.rows.first;
        let counts = self.rows.values().enumerate().filter(|(_, count)| *count > 0);
        match self.held {
            Held::Count => counts.map(|(at, count)| (first + at, float(count) / divisor)).collect(),
            Held::Bytes(bytes) => {
                let bytes: Vec<i64> = bytes.values().collect();
                counts.map(|(at, _)| (first + at, float(bytes.get(at).copied().unwrap_or(0)) / divisor)).collect()
            }
            Held::Buckets(buckets) => buckets.finish(function),
            Held::Values(values) => windows(values, function),
        }
    }
}

fn windows(mut values: Vec<(i64, f64)>, function: &RangeFunction) -> Vec<(usize, f64)> {
    values.sort_by_key(|(timestamp, _)| *timestamp);
    let mut out = Vec::new();
    let (mut from, mut to) = (0, 0);
    for step in 0..function.steps.count {
        let end = function.steps.at(step).saturating_sub(function.offset);
        let start = end.saturating_sub(function.range);
        to += values.get(to..).map_or(0, |rest| rest.partition_point(|(timestamp, _)| *timestamp <= end));
        from += values.get(from..).map_or(0, |rest| rest.partition_point(|(timestamp, _)| *timestamp <= start));
        if let Some(window) = values.get(from..to).filter(|window| !window.is_empty()) {
            out.push((step, evaluate(window, function, start, end)));
        }
        if from == values.len() {
            break;
        }
    }
    out
}

/// The function's value over a window `(start, end]` that holds at least one row.
fn evaluate(window: &[(i64, f64)], function: &RangeFunction, start: i64, end: i64) -> f64 {
    let values = || window.iter().map(|(_, value)| *value);
    let seconds = float(function.range) / SECOND;
    match function.op {
        RangeOp::SumOverTime => values().sum(),
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::AvgOverTime => average(values()),
        RangeOp::MinOverTime => values().fold(f64::NAN, |min, value| if value < min || min.is_nan() { value } else { min }),
        RangeOp::MaxOverTime => values().fold(f64::NAN, |max, value| if value > max || max.is_nan() { value } else { max }),
        RangeOp::StdvarOverTime => variance(values()),
        RangeOp::StddevOverTime => variance(values()).sqrt(),
        RangeOp::QuantileOverTime => quantile(function.parameter.unwrap_or(f64::NAN), values().collect()),
        RangeOp::FirstOverTime => values().next().unwrap_or(f64::NAN),
        RangeOp::LastOverTime => values().next_back().unwrap_or(f64::NAN),
        RangeOp::RateCounter => counter_rate(window, start, end) / seconds,
        RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::AbsentOverTime => {
            float(i64::try_from(window.len()).unwrap_or(i64::MAX))
        }
    }
}

/// The mean, built up value by value; infinities do not turn it into NaN unless both signs occur.
pub(super) fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0.0, 0.0);
    for value in values {
        count += 1.0;
        mean = next_average(mean, count, value);
    }
    mean
}

/// The mean of `count` values of which `value` is the last and `mean` the mean of the others.
pub(super) fn next_average(mean: f64, count: f64, value: f64) -> f64 {
    if mean.is_infinite() && ((value.is_infinite() && (mean > 0.0) == (value > 0.0)) || value.is_finite()) {
        return mean;
    }
    mean + (value / count - mean / count)
}

/// Population variance by Welford's method.
fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut sum) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// The `q`-quantile with linear interpolation at rank `q * (n - 1)`.
fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(f64::total_cmp);
    let rank = q * float(i64::try_from(values.len() - 1).unwrap_or(i64::MAX));
    let at = |rank: f64| values.iter().copied().nth(index(rank)).unwrap_or(f64::NAN);
    let weight = rank - rank.floor();
    let (low, high) = (at(rank.floor()), at(rank.ceil()));
    low * (1.0 - weight) + high * weight
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks are whole, not negative, and below the number of values")]
const fn index(rank: f64) -> usize {
    rank as usize
}

/// How much a counter grew over the window, extrapolated to its ends as Prometheus does; resets are added back. 0 for less
/// than two samples.
fn counter_rate(window: &[(i64, f64)], start: i64, end: i64) -> f64 {
    let (Some(&(first_time, first)), Some(&(last_time, last))) = (window.first(), window.last()) else { return 0.0 };
    if window.len() < 2 {
        return 0.0;
    }
    let resets: f64 = window.iter().zip(window.iter().skip(1)).filter(|((_, before), (_, after))| after < before).map(|((_, before), _)| before).sum();
    let grown = last - first + resets;
    let sampled = float(last_time - first_time) / SECOND;
    let between = sampled / float(i64::try_from(window.len() - 1).unwrap_or(i64::MAX));
    let mut to_start = float(first_time - start) / SECOND;
    let to_end = float(end - last_time) / SECOND;
    if grown > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / grown));
    }
    let extended = |distance: f64| if distance < between * 1.1 { distance } else { between / 2.0 };
    grown * (sampled + extended(to_start) + extended(to_end)) / sampled
}

#[expect(clippy::cast_precision_loss, reason = "samples are floating point: counts and times beyond 2^53 are rounded, as in Loki")]
pub(super) const fn float(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
