//! Rows and bytes of a stream inside a time range, estimated from its counts per minute.

use schema::time::bucket_bounds;
use schema::{StreamManifest, TimeRange, Timestamp};

/// Rows and line bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// How much of `stream` lies in `range`. Exact where the range holds the whole stream; a minute that is cut counts in proportion to its
/// part inside, rounded up. A cut at a whole minute is taken to lie just after it, where the buckets meet, so that ranges of whole
/// minutes are sums of buckets.
pub(crate) fn amount_in(stream: &StreamManifest, range: &TimeRange) -> Amount {
    if range.covers_closed(stream.min, stream.max) {
        return Amount { rows: stream.rows, bytes: stream.bytes };
    }
    let mut sum = Amount::default();
    for count in &stream.minutes {
        let (first, last) = bucket_bounds(count.minute);
        let (first, last) = (first.max(stream.min), last.min(stream.max));
        let inside = inside(first, last, range);
        let width = nanos(first.0.saturating_sub(1), last.0);
        sum.rows += proportion(count.rows, inside, width);
        sum.bytes += proportion(count.bytes, inside, width);
    }
    sum
}

/// Nanoseconds of `[first, last]` in `range`; of an interval that the range's start cuts, without the instant of the cut.
fn inside(first: Timestamp, last: Timestamp, range: &TimeRange) -> u64 {
    let from = if range.start <= first { first.0.saturating_sub(1) } else { range.start.0 };
    nanos(from, last.0.min(range.end.0.saturating_sub(1)))
}

fn nanos(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

fn proportion(count: u64, inside: u64, width: u64) -> u64 {
    u64::try_from((u128::from(count) * u128::from(inside)).div_ceil(u128::from(width.max(1)))).unwrap_or(u64::MAX)
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
    use schema::time::NANOS_PER_MINUTE;
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
            min: Timestamp(minutes(1).0 + 1),
            max: minutes(4),
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
        let parts = [(1, 2), (2, 3), (3, 4), (4, 5)].map(|(from, to)| amount(minutes(from), minutes(to)).rows);
        assert_eq!(parts, [10, 10, 10, 0]);
    }

    #[test]
    fn rows_at_one_instant_are_inside_or_outside() {
        let minutes_of = vec![MinuteCount { minute: 0, rows: 3, bytes: 9 }, MinuteCount { minute: 4, rows: 2, bytes: 4 }];
        let stream = StreamManifest { rows: 5, bytes: 13, min: minutes(1), max: minutes(5), minutes: minutes_of, ..stream() };
        let amount = |start: i64, end: i64| amount_in(&stream, &TimeRange::new(Timestamp(start), Timestamp(end))).rows;
        let at = minutes(1).0;
        assert_eq!((amount(0, at), amount(at, at + 1), amount(0, at + 1), amount(at + 1, 2 * at)), (0, 3, 3, 0));
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
