//! Durations as text, in both spellings that LogQL and the HTTP parameters know.
//! Owns: reading and printing Prometheus durations (`1w2d`, integers, units in descending order) and Go durations (`1.5h`, `-5m`), with their error texts.
//! Must not know: where in a query or request the duration stands. Every value is in nanoseconds.

use schema::quote::quote;

/// Why a text is not a duration. The texts are those of `prometheus/common/model` and Go's `time`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing at all, for a Prometheus duration.
    #[error("empty duration string")]
    Empty,
    /// Not a Prometheus duration.
    #[error("not a valid duration string: {}", quote(text))]
    Invalid {
        /// What was read.
        text: String,
    },
    /// A unit that Prometheus durations do not have.
    #[error("unknown unit {} in duration {}", quote(unit), quote(text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// What was read.
        text: String,
    },
    /// More than about 292 years.
    #[error("duration out of range")]
    OutOfRange,
    /// Not a Go duration.
    #[error("time: invalid duration {}", go_time_quote(text))]
    GoInvalid {
        /// What was read.
        text: String,
    },
    /// A Go duration without a unit.
    #[error("time: missing unit in duration {}", go_time_quote(text))]
    GoMissingUnit {
        /// What was read.
        text: String,
    },
    /// A unit that Go durations do not have.
    #[error("time: unknown unit {} in duration {}", go_time_quote(unit), go_time_quote(text))]
    GoUnknownUnit {
        /// The unit.
        unit: String,
        /// What was read.
        text: String,
    },
}

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000 * NANOS_PER_MILLI;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: u64 = 60 * NANOS_PER_MINUTE;
const NANOS_PER_DAY: u64 = 24 * NANOS_PER_HOUR;
/// The magnitude of `i64::MIN`.
const LIMIT: u64 = 1 << 63;

/// Reads a duration literal of a query: as a Prometheus duration, else as a Go duration. Errors are those of the Go reading.
pub fn parse_literal(text: &str) -> Result<i64, DurationError> {
    parse_prometheus(text).or_else(|_| parse_go(text))
}

/// Reads a Prometheus duration (`model.ParseDuration`): integers with the units y w d h m s ms, largest first, or `0`. Never negative.
pub fn parse_prometheus(text: &str) -> Result<i64, DurationError> {
    match text {
        "0" => return Ok(0),
        "" => return Err(DurationError::Empty),
        _ => {}
    }
    let invalid = || DurationError::Invalid { text: text.to_owned() };
    let (mut rest, mut total, mut last_rank) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let (digits, after) = split_while(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_while(after, |c| !c.is_ascii_digit());
        let value: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let (rank, nanos) = match unit {
            "y" => (1, 365 * NANOS_PER_DAY),
            "w" => (2, 7 * NANOS_PER_DAY),
            "d" => (3, NANOS_PER_DAY),
            "h" => (4, NANOS_PER_HOUR),
            "m" => (5, NANOS_PER_MINUTE),
            "s" => (6, NANOS_PER_SECOND),
            "ms" => (7, NANOS_PER_MILLI),
            _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
        };
        if rank <= last_rank {
            return Err(invalid());
        }
        last_rank = rank;
        total = value.checked_mul(nanos).and_then(|part| total.checked_add(part)).filter(|sum| *sum < LIMIT).ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    i64::try_from(total).map_err(|_| DurationError::OutOfRange)
}

/// Reads a Go duration (`time.ParseDuration`): an optional sign, then decimals with the units h m s ms us µs ns in any order.
pub fn parse_go(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::GoInvalid { text: text.to_owned() };
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (part, after) = parse_go_part(rest, text)?;
        total = total.checked_add(part).filter(|sum| *sum <= LIMIT).ok_or_else(invalid)?;
        rest = after;
    }
    if negative { Ok(0_i64.wrapping_sub_unsigned(total)) } else { i64::try_from(total).map_err(|_| invalid()) }
}

/// One decimal with its unit; returns nanoseconds and what follows.
fn parse_go_part<'a>(part: &'a str, text: &str) -> Result<(u64, &'a str), DurationError> {
    let invalid = || DurationError::GoInvalid { text: text.to_owned() };
    let (whole, after) = split_while(part, |c| c.is_ascii_digit());
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after_point) => split_while(after_point, |c| c.is_ascii_digit()),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let value: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let (unit, after) = split_while(after, |c| c != '.' && !c.is_ascii_digit());
    let nanos = match unit {
        "" => return Err(DurationError::GoMissingUnit { text: text.to_owned() }),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => NANOS_PER_MILLI,
        "s" => NANOS_PER_SECOND,
        "m" => NANOS_PER_MINUTE,
        "h" => NANOS_PER_HOUR,
        _ => return Err(DurationError::GoUnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
    };
    let nanos_whole = value.checked_mul(nanos).filter(|product| *product <= LIMIT).ok_or_else(invalid)?;
    let sum = nanos_whole.checked_add(fraction_nanos(fraction, nanos)).filter(|sum| *sum <= LIMIT).ok_or_else(invalid)?;
    Ok((sum, after))
}

/// `0.fraction` units of `unit` nanoseconds, cut off to whole nanoseconds with the same float steps as Go.
fn fraction_nanos(fraction: &str, unit: u64) -> u64 {
    let (mut digits, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let Some(next) = digits.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit.wrapping_sub(b'0')))) else { break };
        if digits > (LIMIT - 1) / 10 || next > LIMIT {
            break;
        }
        digits = next;
        scale *= 10.0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a positive product below one unit")]
    let nanos = (digits as f64 * (unit as f64 / scale)) as u64;
    nanos
}

fn split_while(text: &str, accept: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !accept(c)).unwrap_or(text.len()))
}

/// Go's `time` package quotes for itself: every byte that is not printable ASCII becomes `\xNN`.
fn go_time_quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// As Go's `time.Duration.String`: `1h5m0s`, `1.5s`, `100µs`, `0s`.
pub fn format_go(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if magnitude < NANOS_PER_SECOND {
        return match magnitude {
            0 => "0s".to_owned(),
            1..1_000 => format!("{sign}{magnitude}ns"),
            1_000..NANOS_PER_MILLI => format!("{sign}{}\u{b5}s", decimal(magnitude, 1_000)),
            _ => format!("{sign}{}ms", decimal(magnitude, NANOS_PER_MILLI)),
        };
    }
    let seconds = decimal(magnitude % NANOS_PER_MINUTE, NANOS_PER_SECOND);
    let (hours, minutes) = (magnitude / NANOS_PER_HOUR, magnitude % NANOS_PER_HOUR / NANOS_PER_MINUTE);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` with as many decimals as it has; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(unit.ilog10()).unwrap_or(9);
    format!("{whole}.{fraction:0width$}").trim_end_matches('0').to_owned()
}

/// As Prometheus' `model.Duration.String`: `1w`, `90d`, `1h5m`, `0s`. Anything finer than a millisecond is cut off.
pub fn format_prometheus(nanos: i64) -> String {
    let mut millis = nanos.unsigned_abs() / NANOS_PER_MILLI;
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::from(if nanos < 0 { "-" } else { "" });
    // Years and weeks only when they divide the rest: 90d reads better than 12w6d.
    let units: [(&str, u64, bool); 7] = [
        ("y", 365 * NANOS_PER_DAY, true),
        ("w", 7 * NANOS_PER_DAY, true),
        ("d", NANOS_PER_DAY, false),
        ("h", NANOS_PER_HOUR, false),
        ("m", NANOS_PER_MINUTE, false),
        ("s", NANOS_PER_SECOND, false),
        ("ms", NANOS_PER_MILLI, false),
    ];
    for (unit, unit_nanos, only_exact) in units {
        let unit_millis = unit_nanos / NANOS_PER_MILLI;
        if only_exact && !millis.is_multiple_of(unit_millis) || millis < unit_millis {
            continue;
        }
        out.push_str(&format!("{}{unit}", millis / unit_millis));
        millis %= unit_millis;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn reads_prometheus_durations() {
        for (text, nanos) in
            [("0", 0), ("0s", 0), ("5m", 300 * S), ("1h5m", 3900 * S), ("1w2d3h", 788_400 * S), ("1y", 31_536_000 * S), ("100ms", S / 10), ("05m", 300 * S)]
        {
            assert_eq!(parse_prometheus(text), Ok(nanos), "{text}");
        }
        for (text, message) in [
            ("", "empty duration string"),
            ("5", r#"not a valid duration string: "5""#),
            ("1.5h", r#"unknown unit "." in duration "1.5h""#),
            ("5m1h", r#"not a valid duration string: "5m1h""#),
            ("5m5m", r#"not a valid duration string: "5m5m""#),
            ("-5m", r#"not a valid duration string: "-5m""#),
            (" 5m", r#"not a valid duration string: " 5m""#),
            ("5 m", r#"unknown unit " m" in duration "5 m""#),
            ("300y", "duration out of range"),
            ("99999999999999999999s", r#"not a valid duration string: "99999999999999999999s""#),
        ] {
            assert_eq!(parse_prometheus(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn reads_go_durations() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("1.5h", 5400 * S),
            ("1h30m", 5400 * S),
            ("30m1h", 5400 * S),
            ("-5m", -300 * S),
            ("100us", 100_000),
            ("100µs", 100_000),
            (".5s", S / 2),
            ("1.s", S),
            ("2540400h10m10s", 9_145_440_610 * S),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_go(text), Ok(nanos), "{text}");
        }
        for (text, message) in [
            ("", r#"time: invalid duration """#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5d", r#"time: unknown unit "d" in duration "5d""#),
            (".s", r#"time: invalid duration ".s""#),
            ("x", r#"time: invalid duration "x""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("5ü", r#"time: unknown unit "\xc3\xbc" in duration "5\xc3\xbc""#),
        ] {
            assert_eq!(parse_go(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn prints_both_forms() {
        for (nanos, go, prometheus) in [
            (0, "0s", "0s"),
            (1, "1ns", "0s"),
            (1_100, "1.1µs", "0s"),
            (2_200_000, "2.2ms", "2ms"),
            (3_300_000_000, "3.3s", "3s300ms"),
            (245 * S, "4m5s", "4m5s"),
            (18_367_000_000_000, "5h6m7s", "5h6m7s"),
            (480 * S + 1, "8m0.000000001s", "8m"),
            (7 * 86400 * S, "168h0m0s", "1w"),
            (90 * 86400 * S, "2160h0m0s", "90d"),
            (-300 * S, "-5m0s", "-5m"),
            (i64::MIN, "-2562047h47m16.854775808s", "-106751d23h47m16s854ms"),
        ] {
            assert_eq!((format_go(nanos).as_str(), format_prometheus(nanos).as_str()), (go, prometheus));
            assert_eq!(parse_go(go), Ok(nanos));
        }
    }
}
