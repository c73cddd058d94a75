//! Rows and bytes of a stream inside a time range, estimated from its counts per minute.

use schema::time::NANOS_PER_MINUTE;
use schema::{StreamManifest, TimeRange, Timestamp};

/// Rows and line bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// How much of `stream` lies in `range`. Exact where the range holds the whole stream or cuts it between minutes; a minute that
/// is cut counts in proportion to its part inside, rounded up.
pub(crate) fn amount_in(stream: &StreamManifest, range: &TimeRange) -> Amount {
    if range.covers_closed(stream.min, stream.max) {
        return Amount { rows: stream.rows, bytes: stream.bytes };
    }
    let mut sum = Amount::default();
    for count in &stream.minutes {
        let from = count.minute.saturating_mul(NANOS_PER_MINUTE);
        let minute = TimeRange::new(Timestamp(from), Timestamp(from.saturating_add(NANOS_PER_MINUTE)));
        let inside = overlap(&minute, range);
        sum.rows += proportion(count.rows, inside);
        sum.bytes += proportion(count.bytes, inside);
    }
    sum
}

/// Nanoseconds that the two have in common.
fn overlap(a: &TimeRange, b: &TimeRange) -> u64 {
    let (start, end) = (a.start.max(b.start), a.end.min(b.end));
    u64::try_from(end.0.saturating_sub(start.0)).unwrap_or(0)
}

fn proportion(count: u64, inside: u64) -> u64 {
    let minute = u128::from(NANOS_PER_MINUTE.unsigned_abs());
    u64::try_from((u128::from(count) * u128::from(inside)).div_ceil(minute)).unwrap_or(u64::MAX)
}

/// Cuts `range` at the multiples of `step` nanoseconds; `step` is positive. Each piece ends a millisecond before the next
/// begins, and the last one at the end of `range`: the times that Loki stamps volumes with. Pieces come as (range, stamp in milliseconds).
pub(crate) fn pieces(range: &TimeRange, step: i64) -> Vec<(TimeRange, i64)> {
    const NANOS_PER_MILLI: i64 = 1_000_000;
    let mut out = Vec::new();
    let mut start = range.start.0;
    while start < range.end.0 {
        let boundary = start.div_euclid(step).saturating_add(1).saturating_mul(step);
        let (end, stamp) = if boundary < range.end.0 { (boundary, boundary - NANOS_PER_MILLI) } else { (range.end.0, range.end.0) };
        out.push((TimeRange::new(Timestamp(start), Timestamp(end)), stamp.div_euclid(NANOS_PER_MILLI)));
        start = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use schema::{LabelSet, MinuteCount};

    use super::*;

    fn minutes(n: i64) -> Timestamp {
        Timestamp(n * NANOS_PER_MINUTE)
    }

    fn stream() -> StreamManifest {
        StreamManifest {
            labels: LabelSet::parse(r#"{app="x"}"#).unwrap(),
            first_row: 0,
            rows: 30,
            min: minutes(1),
            max: Timestamp(minutes(4).0 - 1),
            bytes: 3000,
            minutes: (1..4).map(|minute| MinuteCount { minute, rows: 10, bytes: 1000 }).collect(),
        }
    }

    #[test]
    fn whole_minutes_are_exact_and_cut_ones_proportional() {
        let amount = |start: Timestamp, end: Timestamp| amount_in(&stream(), &TimeRange::new(start, end));
        assert_eq!(amount(minutes(0), minutes(9)), Amount { rows: 30, bytes: 3000 });
        assert_eq!(amount(minutes(2), minutes(3)), Amount { rows: 10, bytes: 1000 });
        assert_eq!(amount(Timestamp(minutes(2).0 + NANOS_PER_MINUTE / 4), minutes(9)), Amount { rows: 18, bytes: 1750 });
        assert_eq!(amount(minutes(5), minutes(9)), Amount::default());
        assert_eq!(amount(minutes(3), minutes(2)), Amount::default());
    }

    #[test]
    fn pieces_are_aligned_and_stamped_with_their_ends() {
        let hour = 3600 * 1_000_000_000;
        let start = 1_793_491_200_000_000_000;
        let stamps =
            |start: i64, end: i64| pieces(&TimeRange::new(Timestamp(start), Timestamp(end)), hour).into_iter().map(|(_, stamp)| stamp).collect::<Vec<_>>();
        assert_eq!(stamps(start, start + 2 * hour), [1_793_494_799_999, 1_793_498_400_000]);
        assert_eq!(stamps(start + hour / 2, start + hour * 3 / 2), [1_793_494_799_999, 1_793_496_600_000]);
        assert_eq!(stamps(start, start), [0i64; 0]);
    }
}
