//! The "float seconds or Prometheus duration" form of `step` and `interval`, in nanoseconds.

use logql::duration::parse_prometheus;
use logql::number::parse_float;
use schema::quote::quote;
use schema::time::NANOS_PER_SECOND;

/// Reads float seconds or a Prometheus duration.
pub(crate) fn parse_seconds_or_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = parse_float(text) {
        return seconds_to_nanos(seconds).ok_or_else(|| format!("cannot parse {} to a valid duration. It overflows int64", quote(text)));
    }
    parse_prometheus(text).map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

/// Float seconds as nanoseconds; `None` where they do not fit. What is not a number becomes the least duration, so that the
/// checks for positive values refuse it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the range is checked first; a fraction of a nanosecond is dropped on purpose"
)]
fn seconds_to_nanos(seconds: f64) -> Option<i64> {
    let nanos = seconds * NANOS_PER_SECOND as f64;
    if nanos.is_nan() {
        return Some(i64::MIN);
    }
    (nanos.abs() <= i64::MAX as f64).then_some(nanos as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = NANOS_PER_SECOND;

    #[test]
    fn reads_steps() {
        for (text, nanos) in [
            ("60", 60 * SECOND),
            ("0.25", 250_000_000),
            ("1e3", 1000 * SECOND),
            ("1500ms", 1_500_000_000),
            ("5m", 300 * SECOND),
            ("-5", -5 * SECOND),
            ("NaN", i64::MIN),
        ] {
            assert_eq!(parse_seconds_or_duration(text), Ok(nanos), "{text}");
        }
        for text in ["x", "5 m", "1.5h", "1e400"] {
            assert_eq!(parse_seconds_or_duration(text), Err(format!("cannot parse \"{text}\" to a valid duration")), "{text}");
        }
        for text in ["1e10", "inf", "-Inf"] {
            assert_eq!(parse_seconds_or_duration(text), Err(format!("cannot parse \"{text}\" to a valid duration. It overflows int64")), "{text}");
        }
    }
}
