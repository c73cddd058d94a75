//! The times of RFC 3164: no year, no zone, a second at best. Also with a year, a fraction or a zone, as routers and rsyslog write them.
//! Must not know: messages.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schema::Timestamp;

use crate::time::iso_prefix;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// How far a clock may be ahead before its time is taken for last year's.
const AHEAD_NANOS: i64 = 86_400 * 1_000_000_000;

/// The time at the start of `text` in nanoseconds, and what follows it and one space. A time without a year is the latest that is
/// no more than a day ahead of `now`; one without a zone is of `zone`.
pub(super) fn prefix<'t>(text: &'t str, zone: &TimeZone, now: Timestamp) -> Option<(i64, &'t str)> {
    let (nanos, rest) = match iso_prefix(text.as_bytes()) {
        Some((nanos, rest)) => (nanos, text.get(text.len() - rest.len()..)?),
        None => of_month(text, zone, now)?,
    };
    if rest.is_empty() { Some((nanos, rest)) } else { Some((nanos, rest.strip_prefix(' ')?)) }
}

/// `Mmm dd hh:mm:ss`, `Mmm dd yyyy hh:mm:ss`; a day below ten has a space or a zero before it, or nothing; a fraction, a colon and ` UTC` may follow.
fn of_month<'t>(text: &'t str, zone: &TimeZone, now: Timestamp) -> Option<(i64, &'t str)> {
    let (name, rest) = text.split_at_checked(3)?;
    let month = MONTHS.iter().zip(1_i8..).find_map(|(month, number)| month.eq_ignore_ascii_case(name).then_some(number))?;
    let rest = rest.strip_prefix(' ')?;
    let (day, rest) = number(rest.strip_prefix(' ').unwrap_or(rest), 2)?;
    let rest = rest.strip_prefix(' ')?;
    let (year, rest) = match rest.split_at_checked(5) {
        Some((year, after)) if year.ends_with(' ') && year.bytes().take(4).all(|byte| byte.is_ascii_digit()) => (number(year, 4).map(|(year, _)| year), after),
        _ => (None, rest),
    };
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (nanos, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = fraction.split_at_checked(digits)?;
            let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
            (padded.fold(0_i32, |value, digit| value * 10 + i32::from(digit - b'0')), after)
        }
        None => (0, rest),
    };
    let (zone, rest) = match rest.strip_prefix(" UTC") {
        Some(after) => (&TimeZone::UTC, after),
        None => (zone, rest),
    };
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    // A leap second is the one before it.
    let (day, hour, minute, second) = (small(day)?, small(hour)?, small(minute)?, small(second)?.min(59));
    let at = |year: i16| {
        let local = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        i64::try_from(zone.to_timestamp(local).ok()?.as_nanosecond()).ok()
    };
    let nanos = match year {
        Some(year) => at(i16::try_from(year).ok()?)?,
        None => {
            let latest = now.as_nanos().saturating_add(AHEAD_NANOS);
            let this = jiff::Timestamp::from_nanosecond(i128::from(now.as_nanos())).ok()?.to_zoned(zone.clone()).year();
            (this - 1..=this + 1).filter_map(at).filter(|nanos| *nanos <= latest).max()?
        }
    };
    Some((nanos, rest))
}

/// One to `most` digits.
fn number(text: &str, most: usize) -> Option<(u16, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((digits.parse().ok()?, rest))
}

fn small(number: u16) -> Option<i8> {
    i8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of `date -u -d ... +%s`; it is 2026-01-01T00:30:00Z.
    #[test]
    fn times_without_a_year_are_of_the_year_before_now_and_in_their_zone() {
        const NOW: Timestamp = Timestamp(1_767_227_400_000_000_000);
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, zone, expected) in [
            ("Jan  1 00:29:59 h", &TimeZone::UTC, Some((1_767_227_399_000_000_000, "h"))),
            ("Dec 31 23:59:59 h", &TimeZone::UTC, Some((1_767_225_599_000_000_000, "h"))),
            ("Dec 31 2027 23:59:59 h", &TimeZone::UTC, Some((1_830_297_599_000_000_000, "h"))),
            ("jan 1 01:29:59 h", &berlin, Some((1_767_227_399_000_000_000, "h"))),
            ("Jul  1 12:00:00: h", &TimeZone::UTC, Some((1_751_371_200_000_000_000, "h"))),
            ("Jan 01 00:29:59.5 UTC: h", &berlin, Some((1_767_227_399_500_000_000, "h"))),
            ("2026-01-01T01:29:59.25+01:00 h", &TimeZone::UTC, Some((1_767_227_399_250_000_000, "h"))),
            ("Jan  1 23:59:60", &TimeZone::UTC, Some((1_767_311_999_000_000_000, ""))),
            ("Feb 29 00:00:00 2024", &TimeZone::UTC, None),
            ("Foo  1 00:00:00 h", &TimeZone::UTC, None),
            ("Jan 32 00:00:00 h", &TimeZone::UTC, None),
            ("Jan  1 24:00:00 h", &TimeZone::UTC, None),
            ("Jan  1 00:00 h", &TimeZone::UTC, None),
            ("Jan  1 00:00:00h", &TimeZone::UTC, None),
            ("", &TimeZone::UTC, None),
        ] {
            assert_eq!(prefix(text, zone, NOW), expected, "{text}");
        }
    }
}
