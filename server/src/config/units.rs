//! Durations and sizes as people write them.

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Reads `500ms`, `1h30m`, `7d`: Prometheus' units, and `0` alone. `None` for anything else, a bare number among it.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(nanoseconds(unit)?)?)?;
        rest = tail;
    }
    Some(Duration::from_nanos(total))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        "y" => 365 * 86_400 * SECOND,
        _ => return None,
    })
}

/// Reads `262144`, `256KB`, `256KiB`, `8MB`. `K`, `M` and `G` are powers of 1024 with and without the `i`, as in Loki's configuration.
pub fn parse_size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// Reads `4` or `1.5`: megabytes of 1024 * 1024 bytes, as Loki writes rates.
pub(super) fn parse_megabytes(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let millionths = |digits: &str| (digits.len() <= 6).then(|| format!("{digits:0<6}").parse::<u64>().ok()).flatten();
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let bytes = whole.parse::<u64>().ok()?.checked_mul(1 << 20)?;
    bytes.checked_add((millionths(fraction)? << 20) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("500ms", 500), ("1s", 1000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0", 0), ("2w", 1_209_600_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "ms", "1.5s", "-1s", "1x", "1s5", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("262144", 262_144), ("256KB", 262_144), ("256 KiB", 262_144), ("8mb", 8_388_608), ("1G", 1 << 30)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "KB", "1.5MB", "-1", "1TB5", "99999999999999999999G"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn megabytes() {
        for (text, bytes) in
            [("4", Some(4_194_304)), ("1.5", Some(1_572_864)), ("0", Some(0)), ("0.000001", Some(1)), ("-1", None), ("", None), ("4MB", None), ("1.", None)]
        {
            assert_eq!(parse_megabytes(text), bytes, "{text}");
        }
    }
}
