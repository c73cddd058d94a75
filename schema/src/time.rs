//! Instants and ranges in nanoseconds since the Unix epoch.

use std::fmt;

/// Nanoseconds since the Unix epoch, UTC. Every `i64` is valid: years 1677 to 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a minute: the width of a manifest's count bucket.
pub const NANOS_PER_MINUTE: i64 = 60 * NANOS_PER_SECOND;

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant.
    pub const MAX: Self = Self(i64::MAX);

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The count bucket that this instant lies in. Bucket `k` holds the instants of `(k, k + 1]` minutes since the epoch: open on the left and
    /// closed on the right, as the windows of LogQL metric queries are, so that a window between whole minutes is a union of buckets.
    pub const fn minute_bucket(self) -> i64 {
        let minute = self.0.div_euclid(NANOS_PER_MINUTE);
        if self.0.rem_euclid(NANOS_PER_MINUTE) == 0 { minute - 1 } else { minute }
    }
}

/// First and last instant of a count bucket ([`Timestamp::minute_bucket`]), cut to what a [`Timestamp`] can say.
pub const fn bucket_bounds(bucket: i64) -> (Timestamp, Timestamp) {
    let before = bucket.saturating_mul(NANOS_PER_MINUTE);
    let first = if before == i64::MIN { before } else { before.saturating_add(1) };
    (Timestamp(first), Timestamp(bucket.saturating_add(1).saturating_mul(NANOS_PER_MINUTE)))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The half-open range `[start, end)`. Empty when `end <= start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// The range `[start, end)`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether some instant of the closed range `[min, max]`, as chunks and streams record theirs, lies inside.
    pub fn overlaps_closed(&self, min: Timestamp, max: Timestamp) -> bool {
        !self.is_empty() && min < self.end && self.start <= max
    }

    /// Whether the whole closed range `[min, max]` lies inside.
    pub fn covers_closed(&self, min: Timestamp, max: Timestamp) -> bool {
        self.start <= min && max < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_open_against_closed() {
        let r = TimeRange::new(Timestamp(10), Timestamp(20));
        assert!(r.overlaps_closed(Timestamp(0), Timestamp(10)));
        assert!(!r.overlaps_closed(Timestamp(0), Timestamp(9)));
        assert!(r.overlaps_closed(Timestamp(19), Timestamp(30)));
        assert!(!r.overlaps_closed(Timestamp(20), Timestamp(30)));
        assert!(!TimeRange::new(Timestamp(5), Timestamp(5)).overlaps_closed(Timestamp(0), Timestamp(9)));
        assert!(r.covers_closed(Timestamp(10), Timestamp(19)));
        assert!(!r.covers_closed(Timestamp(10), Timestamp(20)));
    }

    #[test]
    fn a_whole_minute_lies_in_the_bucket_that_it_ends() {
        let buckets = [-NANOS_PER_MINUTE, 1 - NANOS_PER_MINUTE, -1, 0, 1, NANOS_PER_MINUTE, NANOS_PER_MINUTE + 1].map(|at| Timestamp(at).minute_bucket());
        assert_eq!(buckets, [-2, -1, -1, -1, 0, 0, 1]);
    }

    #[test]
    fn buckets_hold_what_lies_between_their_bounds() {
        for at in [i64::MIN, i64::MIN + 1, -NANOS_PER_MINUTE, -1, 0, 1, NANOS_PER_MINUTE, 1_763_784_000_000_000_000, i64::MAX - 1, i64::MAX] {
            let bucket = Timestamp(at).minute_bucket();
            let (first, last) = bucket_bounds(bucket);
            assert!(first <= Timestamp(at) && Timestamp(at) <= last, "{at}");
            assert_eq!((first.minute_bucket(), last.minute_bucket()), (bucket, bucket), "{at}");
            assert!(first == Timestamp::MIN || Timestamp(first.0 - 1).minute_bucket() == bucket - 1, "{at}");
            assert!(last == Timestamp::MAX || Timestamp(last.0 + 1).minute_bucket() == bucket + 1, "{at}");
        }
    }
}
