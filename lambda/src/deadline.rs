//! How long an invocation may still take.
//! Owns: which deadlines are believed, what is kept back for the answer.

use std::time::Duration;

use schema::Timestamp;

/// Deadlines before September 2001 are no points in time: emulators send the length of the timeout instead.
const EARLIEST_MILLIS: u64 = 1_000_000_000_000;
/// No function may run that long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// At most so much is kept back for the answer.
const RESERVE: Duration = Duration::from_secs(1);

/// The time from `now` to the deadline of an invocation, in milliseconds since the epoch; `None` if that is no deadline one could believe.
pub(crate) fn time_left(deadline_millis: u64, now: Timestamp) -> Option<Duration> {
    if deadline_millis < EARLIEST_MILLIS {
        return None;
    }
    let now = Duration::from_nanos(u64::try_from(now.as_nanos()).unwrap_or(0));
    let left = Duration::from_millis(deadline_millis).saturating_sub(now);
    (left <= LONGEST).then_some(left)
}

/// The part of `left` in which an answer may be worked on; the rest, a second or a tenth, is for sending it.
pub(crate) fn working_time(left: Duration) -> Duration {
    left.saturating_sub(RESERVE.min(left / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[test]
    fn a_deadline_is_a_point_in_time_within_a_day() {
        assert_eq!(time_left(1_800_000_030_000, NOW), Some(Duration::from_secs(30)));
        assert_eq!(time_left(1_799_999_999_000, NOW), Some(Duration::ZERO), "the clocks differ, or it is over");
        // What cargo-lambda's emulator sends.
        assert_eq!(time_left(600_000, NOW), None);
        assert_eq!(time_left(u64::MAX, NOW), None);
    }

    #[test]
    fn a_second_or_a_tenth_is_kept_back() {
        assert_eq!(working_time(Duration::from_secs(60)), Duration::from_secs(59));
        assert_eq!(working_time(Duration::from_secs(3)), Duration::from_millis(2700));
    }
}
