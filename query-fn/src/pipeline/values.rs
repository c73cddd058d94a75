//! Label text as a number, a duration or a size, with the texts that Loki shows where it is none.

use logql::ast::UnwrapConversion;

/// Go durations only: no days, weeks or years (spec/logql.md 3.12). Nanoseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    logql::duration::parse_go(text).map_err(|error| error.to_string())
}

/// Humanised sizes: `1.5KB`, `10 MiB`, `17`. Bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    logql::bytes::parse_bytes(text).map_err(|error| error.to_string())
}

/// Go's ParseFloat.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    logql::number::parse_float(text).map_err(|error| error.to_string())
}

/// Nanoseconds as seconds, exactly as Go's `Duration.Seconds` rounds.
pub(crate) fn nanos_to_seconds(nanos: i64) -> f64 {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    int_to_float(whole) + int_to_float(rest) / 1e9
}

/// An integer as the nearest float.
#[expect(clippy::cast_precision_loss, reason = "rounding to the nearest float is what is asked for")]
pub(crate) fn int_to_float(value: i64) -> f64 {
    value as f64
}

/// An unsigned integer as the nearest float.
#[expect(clippy::cast_precision_loss, reason = "rounding to the nearest float is what is asked for")]
pub(crate) fn uint_to_float(value: u64) -> f64 {
    value as f64
}

/// The sample value of an unwrapped label (spec/logql.md section 4).
pub(crate) fn unwrapped(conversion: UnwrapConversion, text: &str) -> Result<f64, String> {
    match conversion {
        UnwrapConversion::Plain => number(text),
        UnwrapConversion::Bytes => bytes(text).map(uint_to_float),
        UnwrapConversion::Duration | UnwrapConversion::DurationSeconds => duration(text).map(nanos_to_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (nanos, seconds) in [(381_300_000, 0.3813), (-1_500_000_000, -1.5), (0, 0.0), (3_600_000_000_000, 3600.0)] {
            assert_eq!(nanos_to_seconds(nanos), seconds);
        }
    }

    #[test]
    fn what_is_none_says_so() {
        assert_eq!(number("1.1MB"), Err(r#"strconv.ParseFloat: parsing "1.1MB": invalid syntax"#.to_owned()));
        assert_eq!(unwrapped(UnwrapConversion::Bytes, "1KiB"), Ok(1024.0));
        assert_eq!(unwrapped(UnwrapConversion::Duration, "1m30s"), Ok(90.0));
        assert!(unwrapped(UnwrapConversion::Duration, "1d").is_err());
    }
}
