//! Times as people write them on a command line.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schema::{TimeRange, Timestamp};

use crate::args::TimeArgs;
use crate::config::parse_duration;
use crate::error::TarnError;

const DEFAULT_SINCE_NANOS: i64 = 3600 * schema::time::NANOS_PER_SECOND;

/// The range that the flags name.
pub(crate) fn range(args: &TimeArgs, now: Timestamp) -> Result<TimeRange, TarnError> {
    let end = args.to.as_deref().map_or(Ok(now), |text| instant("--to", text, now))?;
    let start = match (&args.from, &args.since) {
        (Some(text), _) => instant("--from", text, now)?,
        (None, Some(text)) => Timestamp(end.0.saturating_sub(duration_nanos("--since", text)?)),
        (None, None) => Timestamp(end.0.saturating_sub(DEFAULT_SINCE_NANOS)),
    };
    if end < start {
        let value = format!("{} to {}", args.from.as_deref().unwrap_or("the start"), args.to.as_deref().unwrap_or("now"));
        return Err(TarnError::Argument { flag: "the time range", value, expected: "a range whose end lies after its start".to_owned() });
    }
    Ok(TimeRange::new(start, end))
}

/// A duration flag in nanoseconds.
pub(crate) fn duration_nanos(flag: &'static str, text: &str) -> Result<i64, TarnError> {
    parse_duration(text).and_then(|d| i64::try_from(d.as_nanos()).ok()).ok_or_else(|| TarnError::Argument {
        flag,
        value: text.to_owned(),
        expected: "a duration such as 30s, 90m or 7d".to_owned(),
    })
}

fn instant(flag: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, TarnError> {
    parse_instant(text.trim(), now).ok_or_else(|| TarnError::Argument {
        flag,
        value: text.to_owned(),
        expected: "a time such as 2026-01-31T12:00:00Z, '2026-01-31 12:00' (UTC), now-2h, or an epoch in s, ms, us or ns".to_owned(),
    })
}

fn parse_instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(rest) = text.strip_prefix("now") {
        let (sign, duration) = match rest.split_at_checked(1) {
            None => return Some(now),
            Some(("-", duration)) => (-1, duration),
            Some(("+", duration)) => (1, duration),
            Some(_) => return None,
        };
        let nanos = i64::try_from(parse_duration(duration)?.as_nanos()).ok()?;
        return now.0.checked_add(nanos.checked_mul(sign)?).map(Timestamp);
    }
    epoch(text).or_else(|| date_time(text))
}

/// An epoch in seconds, milliseconds, microseconds or nanoseconds, told apart by its size, with an optional fraction.
pub(crate) fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    // Each unit reaches a thousand times as far: 100 billion is the year 5138 in seconds and 1973 in milliseconds, and so on.
    let (unit, digits) = match whole.checked_ilog10().unwrap_or(0) {
        0..11 => (1_000_000_000, 9),
        11..14 => (1_000_000, 6),
        14..17 => (1_000, 3),
        _ => (1, 0),
    };
    let fraction: i64 = match digits {
        0 => 0,
        digits => format!("{fraction:0<digits$.digits$}").parse().ok()?,
    };
    whole.checked_mul(unit)?.checked_add(fraction).map(Timestamp)
}

/// RFC 3339, or date and time without a zone, which is UTC. A comma may stand before the fraction, and a blank for the `T`.
pub(crate) fn date_time(text: &str) -> Option<Timestamp> {
    let text = text.replace(',', ".");
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return nanos(instant);
    }
    let local: DateTime = text.parse().ok()?;
    nanos(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

pub(crate) fn nanos(instant: jiff::Timestamp) -> Option<Timestamp> {
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
}

/// RFC 3339 in UTC with as many digits of the fraction as there are (none, 3, 6 or 9).
pub(crate) fn format(at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(at.0)) else { return at.to_string() };
    match at.0.rem_euclid(1_000_000_000) {
        0 => format!("{instant:.0}"),
        n if n % 1_000_000 == 0 => format!("{instant:.3}"),
        n if n % 1_000 == 0 => format!("{instant:.6}"),
        _ => format!("{instant:.9}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_770_000_000_000_000_000);

    #[test]
    fn instants() {
        for (text, want) in [
            ("now", NOW.0),
            ("now-1h", NOW.0 - 3_600_000_000_000),
            ("now+5s", NOW.0 + 5_000_000_000),
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000.25", 1_700_000_000_250_000_000),
            ("1700000000123", 1_700_000_000_123_000_000),
            ("1700000000123456", 1_700_000_000_123_456_000),
            ("1700000000123456789", 1_700_000_000_123_456_789),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500_000_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000_000_000),
            ("2023-11-14 22:13", 1_699_999_980_000_000_000),
            ("2023-11-14", 1_699_920_000_000_000_000),
        ] {
            assert_eq!(parse_instant(text, NOW), Some(Timestamp(want)), "{text}");
        }
        for text in ["", "yesterday", "now-", "now-5", "2023-13-01", "-5", "1e9"] {
            assert_eq!(parse_instant(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn ranges() {
        let args = |since: Option<&str>, from: Option<&str>, to: Option<&str>| TimeArgs {
            since: since.map(Into::into),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        assert_eq!(range(&args(None, None, None), NOW).unwrap(), TimeRange::new(Timestamp(NOW.0 - 3_600_000_000_000), NOW));
        assert_eq!(range(&args(Some("1m"), None, Some("1700000000")), NOW).unwrap().start, Timestamp(1_699_999_940_000_000_000));
        assert!(range(&args(None, Some("now"), Some("now-1h")), NOW).is_err());
        assert_eq!(range(&args(Some("x"), None, None), NOW).unwrap_err().to_string(), "--since 'x' is not a duration such as 30s, 90m or 7d");
    }

    #[test]
    fn times_are_printed_with_the_digits_they_have() {
        for (nanos, want) in [
            (1_700_000_000_000_000_000, "2023-11-14T22:13:20Z"),
            (1_700_000_000_120_000_000, "2023-11-14T22:13:20.120Z"),
            (1_700_000_000_000_001_000, "2023-11-14T22:13:20.000001Z"),
            (1_700_000_000_000_000_001, "2023-11-14T22:13:20.000000001Z"),
        ] {
            assert_eq!(format(Timestamp(nanos)), want);
        }
    }
}
