//! Points in time as services and log libraries write them: ISO 8601, the common log format, numbers since the epoch.
//! Pure byte parsing, one pass, no allocation. Must not know: which field of a line holds a time.

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `2018-07-02T22:23:00.186641Z` and its kin: a space for the `T`, a comma for the point, no fraction, an offset such as `+02:00` or
/// `+0200`, or nothing for UTC. The whole text must be the time.
pub(crate) fn iso(text: &[u8]) -> Option<i64> {
    let (nanos, rest) = iso_prefix(text)?;
    rest.is_empty().then_some(nanos)
}

/// The time that `text` starts with, and what follows it.
pub(crate) fn iso_prefix(text: &[u8]) -> Option<(i64, &[u8])> {
    let mut reader = Reader { rest: text };
    let year = reader.number(4)?;
    reader.byte(b'-')?;
    let month = reader.number(2)?;
    reader.byte(b'-')?;
    let day = reader.number(2)?;
    if !reader.skip(b'T') && !reader.skip(b't') {
        reader.byte(b' ')?;
    }
    let seconds = reader.clock()?;
    let fraction = reader.fraction();
    let offset = reader.zone();
    Some((instant(year, month, day, seconds - offset, fraction)?, reader.rest))
}

/// `2019-12-04` and `21:02:31`, UTC.
pub(crate) fn date_and_time(date: &[u8], time: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: date };
    let year = reader.number(4)?;
    reader.byte(b'-')?;
    let month = reader.number(2)?;
    reader.byte(b'-')?;
    let day = reader.number(2)?;
    let mut clock = Reader { rest: time };
    let seconds = clock.clock()?;
    let fraction = clock.fraction();
    if !reader.rest.is_empty() || !clock.rest.is_empty() {
        return None;
    }
    instant(year, month, day, seconds, fraction)
}

/// `06/Feb/2019:00:00:38 +0000`, at the start of `text`.
pub(crate) fn common_log(text: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: text };
    let day = reader.number(2)?;
    reader.byte(b'/')?;
    let (name, rest) = reader.rest.split_at_checked(3)?;
    let month = MONTHS.iter().zip(1..).find_map(|(month, number)| (*month == name).then_some(number))?;
    reader.rest = rest;
    reader.byte(b'/')?;
    let year = reader.number(4)?;
    reader.byte(b':')?;
    let seconds = reader.clock()?;
    let fraction = reader.fraction();
    reader.skip(b' ');
    let offset = reader.zone();
    instant(year, month, day, seconds - offset, fraction)
}

/// A whole number since the epoch: seconds, milliseconds, microseconds or nanoseconds by its size. Each unit covers the years 1973 to 5138;
/// a smaller number is no time but, say, a duration.
pub(crate) fn epoch(number: i64) -> Option<i64> {
    match number {
        100_000_000..100_000_000_000 => number.checked_mul(SECOND),
        100_000_000_000..100_000_000_000_000 => number.checked_mul(1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => number.checked_mul(1_000),
        100_000_000_000_000_000.. => Some(number),
        _ => None,
    }
}

/// Seconds, milliseconds or microseconds with a fraction, rounded to a microsecond, which is about what a double can hold.
#[expect(clippy::cast_possible_truncation, reason = "the value is checked to be within i64")]
pub(crate) fn epoch_float(number: f64) -> Option<i64> {
    let per_unit = match number {
        n if !(1e8..1e17).contains(&n) => return None,
        n if n < 1e11 => 1e6,
        n if n < 1e14 => 1e3,
        _ => 1.0,
    };
    let micros = (number * per_unit).round();
    if micros < 9e15 { (micros as i64).checked_mul(1_000) } else { None }
}

/// A time as text: ISO 8601, or a number since the epoch.
pub(crate) fn text(text: &[u8]) -> Option<i64> {
    if let Some(nanos) = iso(text) {
        return Some(nanos);
    }
    if text.is_empty() || !text.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        return common_log(text);
    }
    let text = std::str::from_utf8(text).ok()?;
    match text.parse::<i64>() {
        Ok(number) => epoch(number),
        Err(_) => epoch_float(text.parse().ok()?),
    }
}

/// Nanoseconds since the epoch; `None` for a date that does not exist or lies outside the years 1677 to 2262.
fn instant(year: i64, month: i64, day: i64, seconds: i64, fraction: i64) -> Option<i64> {
    let days_in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) {
        return None;
    }
    // Days since 1970-01-01 in the Gregorian calendar, with the year beginning in March so that the leap day is its last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    (days * 86_400 + seconds).checked_mul(SECOND)?.checked_add(fraction)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (text, rest) = self.rest.split_at_checked(digits)?;
        let mut value = 0;
        for byte in text {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i64::from(byte - b'0');
        }
        self.rest = rest;
        Some(value)
    }

    /// `HH:MM:SS`, a leap second included, as seconds of the day.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.byte(b':')?;
        let minute = self.number(2)?;
        self.byte(b':')?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    /// Nanoseconds after a point or comma; digits beyond the ninth are passed over.
    fn fraction(&mut self) -> i64 {
        let Some((b'.' | b',', rest)) = self.rest.split_first() else { return 0 };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return 0;
        }
        let (text, rest) = rest.split_at_checked(digits).unwrap_or((rest, &[]));
        self.rest = rest;
        let padded = text.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> i64 {
        if self.skip(b'Z') || self.skip(b'z') {
            return 0;
        }
        let sign = match self.rest.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return 0,
        };
        let start = self.rest;
        self.rest = self.rest.get(1..).unwrap_or_default();
        let hours = self.number(2);
        self.skip(b':');
        let minutes = self.number(2);
        match (hours, minutes) {
            (Some(hours), Some(minutes)) if hours < 24 && minutes < 60 => sign * (hours * 3600 + minutes * 60),
            _ => {
                self.rest = start;
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of `date -u -d ... +%s`.
    #[test]
    fn times_of_every_kind() {
        for (input, expected) in [
            ("2018-07-02T22:23:00.186641Z", Some(1_530_570_180_186_641_000)),
            ("2020-04-01T08:51:42", Some(1_585_731_102_000_000_000)),
            ("2025-07-01 10:15:00,123", Some(1_751_364_900_123_000_000)),
            ("2025-07-01T12:15:00+02:00", Some(1_751_364_900_000_000_000)),
            ("2025-07-01T12:15:00.5+0200", Some(1_751_364_900_500_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-01-01T24:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2023-01-01T00:00:00Zx", None),
            ("1418530070", Some(1_418_530_070_000_000_000)),
            ("1576280412771", Some(1_576_280_412_771_000_000)),
            ("1576280412771001", Some(1_576_280_412_771_001_000)),
            ("1576280412771001002", Some(1_576_280_412_771_001_002)),
            ("1576280412.771", Some(1_576_280_412_771_000_000)),
            ("06/Feb/2019:00:00:38 +0000", Some(1_549_411_238_000_000_000)),
            ("20250701", None),
            ("0.125", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(text(input.as_bytes()), expected, "{input:?}");
        }
        assert_eq!(date_and_time(b"2019-12-04", b"21:02:31"), Some(1_575_493_351_000_000_000));
        assert_eq!(date_and_time(b"2019-12-04", b"21:02:31 x"), None);
        assert_eq!(iso_prefix(b"2020-04-01T08:51:42 more"), Some((1_585_731_102_000_000_000, &b" more"[..])));
    }
}
