//! Days in UTC: the unit in which chunks are compacted, and what a day manifest is about.
//! Owns: which day an instant lies in, how a day is written, what a day manifest holds and its bytes (RFC 0002).
//! Must not know: compression, object stores, how a manifest is swapped.

mod manifest;
mod wire;

use std::fmt;

use crate::time::{TimeRange, Timestamp};

pub use manifest::{ChunkEntry, CommitId, Consumed, DayManifest, MAX_COMMITS, Replaced};

/// Nanoseconds in an hour.
pub const NANOS_PER_HOUR: i64 = 60 * crate::time::NANOS_PER_MINUTE;
/// Nanoseconds in a day; UTC has no other days here, leap seconds do not count.
pub const NANOS_PER_DAY: i64 = 24 * NANOS_PER_HOUR;

/// A day in UTC, as days since 1970-01-01. Those that a [`Timestamp`] can lie in: 1677-09-21 to 2262-04-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(i32);

impl Day {
    /// The day that `at` lies in.
    pub fn of(at: Timestamp) -> Self {
        // At most 106,752 days lie on either side of the epoch.
        Self(i32::try_from(at.as_nanos().div_euclid(NANOS_PER_DAY)).unwrap_or(i32::MAX))
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The day with this number. `None` where no timestamp lies in it.
    pub fn from_number(number: i32) -> Option<Self> {
        (Self::of(Timestamp::MIN)..=Self::of(Timestamp::MAX)).contains(&Self(number)).then_some(Self(number))
    }

    /// Its first instant that a timestamp can say.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0).saturating_mul(NANOS_PER_DAY))
    }

    /// Its last instant that a timestamp can say.
    pub fn last(self) -> Timestamp {
        Timestamp(i64::from(self.0).saturating_add(1).saturating_mul(NANOS_PER_DAY).saturating_sub(if self == Self::of(Timestamp::MAX) { 0 } else { 1 }))
    }

    /// All of the day. The very last instant of time cannot lie in a half-open range; it is the only one left out.
    pub fn range(self) -> TimeRange {
        TimeRange::new(self.start(), Timestamp(self.last().as_nanos().saturating_add(1)))
    }

    /// The days from that of `min` to that of `max`, both included.
    pub fn spanned(min: Timestamp, max: Timestamp) -> impl DoubleEndedIterator<Item = Self> {
        (Self::of(min).0..=Self::of(max).0).map(Self)
    }

    /// The hour of the day, 0 to 23, that `at` lies in.
    pub fn hour_of(at: Timestamp) -> u8 {
        u8::try_from(at.as_nanos().div_euclid(NANOS_PER_HOUR).rem_euclid(24)).unwrap_or(0)
    }

    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, rest) = text.split_at_checked(4)?;
        let (month, day) = rest.strip_prefix('-')?.split_once('-')?;
        let digits = |part: &str, length| (part.len() == length && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok()).flatten();
        let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let parsed = Self::from_number(i32::try_from(days_from_civil(year, month, day)).ok()?)?;
        (parsed.to_string() == text).then_some(parsed)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(i64::from(self.0));
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Counts from 1 March, so that the leap day is a year's last.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
#[path = "day/tests.rs"]
mod manifest_tests;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        for (nanos, day, hour) in [
            (0, "1970-01-01", 0),
            (-1, "1969-12-31", 23),
            (NANOS_PER_DAY - 1, "1970-01-01", 23),
            (NANOS_PER_DAY, "1970-01-02", 0),
            (951_782_400 * 1_000_000_000, "2000-02-29", 0),
            (1_793_491_200 * 1_000_000_000, "2026-11-01", 0),
            (1_793_491_200 * 1_000_000_000 + 5 * NANOS_PER_HOUR, "2026-11-01", 5),
            (i64::MIN, "1677-09-21", 0),
            (i64::MAX, "2262-04-11", 23),
        ] {
            let at = Timestamp(nanos);
            assert_eq!((Day::of(at).to_string().as_str(), Day::hour_of(at)), (day, hour), "{nanos}");
            assert_eq!(Day::parse(day), Some(Day::of(at)));
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026-1-01",
            "2026-11-1",
            "2026-13-01",
            "2026-00-01",
            "2026-02-30",
            "2025-02-29",
            "2026-11-01x",
            "+026-11-01",
            "1600-01-01",
            "2300-01-01",
            "deletes",
        ] {
            assert_eq!(Day::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_day_and_in_no_other(nanos: i64) {
            let (at, day) = (Timestamp(nanos), Day::of(Timestamp(nanos)));
            prop_assert!(day.start() <= at && at <= day.last());
            prop_assert!(day.range().contains(at) || at == Timestamp::MAX);
            prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
            prop_assert_eq!(Day::from_number(day.number()), Some(day));
            if let Some(next) = Day::from_number(day.number() + 1) {
                prop_assert_eq!(day.last().as_nanos() + 1, next.start().as_nanos());
                prop_assert_eq!(day.range().end, next.range().start);
            }
        }
    }
}
