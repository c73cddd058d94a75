//! Sizes in bytes as people write them: `5KB`, `1.5 MiB`.
//! Owns: the accepted units and the printed form (the rules of Go's `dustin/go-humanize`, which Loki uses for literals and for label values alike).
//! Must not know: where in a query the size stands.

use crate::number::{FloatError, parse_float};

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// The part before the unit is not a number.
    #[error(transparent)]
    Number(#[from] FloatError),
    /// A unit that does not exist.
    #[error("unhandled size name: {unit}")]
    Unit {
        /// The unit in lower case.
        unit: String,
    },
    /// 2^64 bytes or more.
    #[error("too large: {text}")]
    TooLarge {
        /// What was read.
        text: String,
    },
}

/// Reads a size: a number (commas between digits are ignored), optional blanks, a unit in any case.
/// `KB`, `k` and so on are powers of 1000, `KiB`, `ki` and so on powers of 1024, `B` and no unit are bytes. A fraction of a byte is cut off.
pub fn parse_bytes(text: &str) -> Result<u64, ByteSizeError> {
    let digits_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let number = parse_float(&number.replace(',', ""))?;
    let unit = unit.trim().to_lowercase();
    let factor = unit_bytes(&unit).ok_or(ByteSizeError::Unit { unit })?;
    let bytes = number * factor;
    if bytes >= TWO_POW_64 {
        return Err(ByteSizeError::TooLarge { text: text.to_owned() });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= bytes < 2^64; the fraction is cut off on purpose")]
    let whole = bytes as u64;
    Ok(whole)
}

const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;

fn unit_bytes(unit: &str) -> Option<f64> {
    let (prefix, base) = match unit.strip_suffix('b').unwrap_or(unit) {
        "" => return Some(1.0),
        rest => match rest.strip_suffix('i') {
            Some(prefix) => (prefix, 1024.0_f64),
            None => (rest, 1000.0_f64),
        },
    };
    let power = match prefix {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(base.powi(power))
}

/// As `humanize.Bytes`: two significant digits below 10, powers of 1000: `999 B`, `1.5 kB`, `83 MB`. Loses digits; see the printed form of queries
/// for when that is acceptable.
pub fn format_bytes(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are printed")]
    let value = bytes as f64;
    let (mut exponent, mut power) = (0_usize, 1.0_f64);
    while exponent < 6 && value >= power * 1000.0 {
        exponent += 1;
        power *= 1000.0;
    }
    let rounded = (value / power * 10.0 + 0.5).floor() / 10.0;
    let unit = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].get(exponent).copied().unwrap_or("EB");
    if rounded < 10.0 { format!("{rounded:.1} {unit}") } else { format!("{rounded:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("42", 42),
            ("42B", 42),
            ("5KB", 5000),
            ("5k", 5000),
            ("5kb", 5000),
            ("5KiB", 5120),
            ("5Ki", 5120),
            ("42 MB", 42_000_000),
            ("42 mib", 44_040_192),
            ("1.5GB", 1_500_000_000),
            ("1,000KB", 1_000_000),
            ("1EiB", 1 << 60),
            ("0.1B", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_bytes("x").unwrap_err().to_string(), r#"strconv.ParseFloat: parsing "": invalid syntax"#);
        assert_eq!(parse_bytes("5xb").unwrap_err().to_string(), "unhandled size name: xb");
        assert_eq!(parse_bytes("-5KB").unwrap_err().to_string(), r#"strconv.ParseFloat: parsing "": invalid syntax"#);
        assert_eq!(parse_bytes("16EiB").unwrap_err().to_string(), "too large: 16EiB");
        assert_eq!(parse_bytes("5 i").unwrap_err().to_string(), "unhandled size name: i");
    }

    #[test]
    fn prints_sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1024, "1.0 kB"),
            (5000, "5.0 kB"),
            (82_854_982, "83 MB"),
            (1_234_567, "1.2 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }
}
