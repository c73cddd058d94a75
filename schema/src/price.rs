//! What requests to an object store cost at list price: S3 Standard in us-east-1, as `infra/cost/prices.toml` has it too.
//! Must not know: who makes requests.

use std::fmt;
use std::num::NonZeroU64;

/// US dollars per PUT, COPY, POST or LIST request.
pub const DOLLARS_PER_WRITE_REQUEST: f64 = 5e-6;
/// US dollars per GET, HEAD or other request. DELETE is free.
pub const DOLLARS_PER_READ_REQUEST: f64 = 4e-7;
/// US dollars for the CPU that reading 10^9 bytes of lines takes, as a function (`query_cpu_per_gb` in `infra/cost/prices.toml`).
pub const DOLLARS_PER_GB_READ: f64 = 2.3e-5;

/// A price above zero, in steps of a billionth of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dollars(NonZeroU64);

/// Decimals of a dollar that are kept.
const DECIMALS: usize = 9;

impl Dollars {
    /// Reads `0.05` or `12`, with up to nine decimals; `Some(None)` for zero. `None` for anything else.
    pub fn parse(text: &str) -> Option<Option<Self>> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() || fraction.len() > DECIMALS || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let billionths: u64 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
        Some(NonZeroU64::new(billionths).map(Self))
    }

    /// In dollars.
    #[expect(clippy::cast_precision_loss, reason = "a price for comparison with an estimate")]
    pub fn as_f64(self) -> f64 {
        self.0.get() as f64 / 1e9
    }
}

impl fmt::Display for Dollars {
    /// As [`Self::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let billionths = self.0.get();
        let text = format!("{}.{:09}", billionths / 1_000_000_000, billionths % 1_000_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_and_written() {
        for (text, printed) in [("1", "1"), ("0.05", "0.05"), ("12.50", "12.5"), ("0.000000001", "0.000000001"), ("1.", "1")] {
            assert_eq!(Dollars::parse(text).unwrap().unwrap().to_string(), printed, "{text}");
        }
        assert_eq!(Dollars::parse("0"), Some(None));
        assert_eq!(Dollars::parse("0.0"), Some(None));
        for text in ["", ".5", "-1", "1e3", "0.0000000001", "1.2.3", "$1", "99999999999999999999"] {
            assert_eq!(Dollars::parse(text), None, "{text}");
        }
        assert!((Dollars::parse("0.05").unwrap().unwrap().as_f64() - 0.05).abs() < 1e-12);
    }
}
