//! Go's float text: what `strconv.ParseFloat` reads and what `%v` and `FormatFloat(f, 'f', -1, 64)` print.
//! Owns: the accepted spellings and the error texts that Loki passes on.
//! Must not know: where in a query the number stands.

use schema::quote::quote;

/// Why a text is not a float. The texts are those of Go's `strconv`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloatError {
    /// Not the spelling of a number.
    #[error("strconv.ParseFloat: parsing {}: invalid syntax", quote(text))]
    Syntax {
        /// What was read.
        text: String,
    },
    /// Too large for 64 bits.
    #[error("strconv.ParseFloat: parsing {}: value out of range", quote(text))]
    Range {
        /// What was read.
        text: String,
    },
}

/// Reads a float as Go's `strconv.ParseFloat(text, 64)`: decimal, `inf`, `infinity`, `nan` in any case, hexadecimal with a `p` exponent.
/// Too small a number is 0; too large a one is [`FloatError::Range`].
pub fn parse_float(text: &str) -> Result<f64, FloatError> {
    let syntax = || FloatError::Syntax { text: text.to_owned() };
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = magnitude.to_ascii_lowercase();
    let value = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" if magnitude.len() == text.len() => f64::NAN,
        hex if hex.starts_with("0x") => finite(parse_hex(hex.get(2..).unwrap_or_default()).ok_or_else(syntax)?, text)?,
        decimal => {
            let plain = decimal.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_'));
            let first_is_number = decimal.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            if !plain || !first_is_number || has_stray_underscore(decimal) {
                return Err(syntax());
            }
            finite(decimal.replace('_', "").parse().map_err(|_| syntax())?, text)?
        }
    };
    Ok(if negative { -value } else { value })
}

/// Whether some `_` does not stand between two digits.
fn has_stray_underscore(decimal: &str) -> bool {
    let bytes = decimal.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    bytes.iter().enumerate().any(|(at, byte)| *byte == b'_' && !(is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1))))
}

fn finite(value: f64, text: &str) -> Result<f64, FloatError> {
    if value.is_finite() { Ok(value) } else { Err(FloatError::Range { text: text.to_owned() }) }
}

/// The part of a hexadecimal float after `0x`: digits with an optional point and single underscores between digits, then `p` and a decimal exponent.
fn parse_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let mut exponent: i32 = match exponent.strip_prefix('+').unwrap_or(exponent) {
        digits if digits.starts_with('+') || digits.is_empty() => return None,
        digits => digits.parse().ok()?,
    };
    let mut bits: u64 = 0;
    let (mut digits, mut seen_point, mut previous) = (0_u32, false, '0');
    for c in mantissa.chars() {
        match c {
            '.' if !seen_point => seen_point = true,
            '_' if previous.is_ascii_hexdigit() => {}
            c => {
                let digit = u64::from(c.to_digit(16)?);
                digits += 1;
                if bits >> 58 == 0 {
                    bits = bits << 4 | digit;
                    exponent = exponent.saturating_sub(if seen_point { 4 } else { 0 });
                } else {
                    // Beyond 58 bits a digit only decides rounding: keep it as a sticky bit.
                    bits |= u64::from(digit != 0);
                    exponent = exponent.saturating_add(if seen_point { 0 } else { 4 });
                }
            }
        }
        previous = c;
    }
    if digits == 0 || previous == '_' {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest float is the purpose")]
    let value = bits as f64;
    // Two steps, so that neither power of two overflows by itself.
    let half = exponent.clamp(-2400, 2400) / 2;
    Some(value * 2_f64.powi(half) * 2_f64.powi(exponent.clamp(-2400, 2400) - half))
}

/// As Go's `fmt.Sprint(value)`: shortest digits that read back, with an exponent below 1e-4 and from 1e6 on.
pub fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, value) in [
            ("1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("-1E-3", -0.001),
            ("+2", 2.0),
            ("Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0x1p3", 8.0),
            ("0x1.8p1", 3.0),
            ("0x_1p-1", 0.5),
            ("1e-400", 0.0),
            ("1_000", 1000.0),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert!(parse_float("nan").unwrap().is_nan());
        for text in ["", ".", "1e", "0x10", "0b1", "1__0", "_1", "1_", "1_e5", "+nan", "abc", "1 ", "--1", "0x_p1", "0x1_p1"] {
            assert_eq!(parse_float(text), Err(FloatError::Syntax { text: text.to_owned() }), "{text}");
        }
        assert_eq!(parse_float("1e400").unwrap_err().to_string(), r#"strconv.ParseFloat: parsing "1e400": value out of range"#);
    }

    #[test]
    fn prints_what_go_prints() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float(value), text);
        }
    }
}
