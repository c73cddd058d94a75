//! Refuses queries for what they would read, after planning and before a row is read.

use std::time::Duration;

use schema::price::{DOLLARS_PER_READ_REQUEST, DOLLARS_PER_WRITE_REQUEST};
use schema::{QueryLimits, Timestamp};
use store::object::{Op, RequestStats};

use crate::QueryError;
use crate::exec::Estimate;

/// `length` before `now`.
pub(crate) fn before(now: Timestamp, length: Duration) -> Timestamp {
    Timestamp(now.as_nanos().saturating_sub(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)))
}

/// What planning has cost already, in US dollars.
#[expect(clippy::cast_precision_loss, reason = "an estimate; counts of requests are far below 2^53")]
pub(super) fn requests_so_far(requests: &RequestStats) -> f64 {
    let price = |op: Op| match op {
        Op::Put | Op::List => DOLLARS_PER_WRITE_REQUEST,
        Op::Delete => 0.0,
        _ => DOLLARS_PER_READ_REQUEST,
    };
    let counts = requests.snapshot();
    Op::ALL.into_iter().map(|op| price(op) * counts.of(op) as f64).fold(0.0, |sum, price| sum + price)
}

/// Errors: more bytes or dollars than `limits` allow.
pub(super) fn refuse_too_much(estimate: Estimate, spent: f64, limits: &QueryLimits) -> Result<(), QueryError> {
    if let Some(most) = limits.max_query_bytes_read.filter(|most| estimate.line_bytes > most.get()) {
        let (bytes, most) = (binary_bytes(estimate.line_bytes), binary_bytes(most.get()));
        let message = format!(
            "the query would read too many bytes (query: {bytes}, limit: {most}); consider adding more specific stream selectors or reduce the time range of the query"
        );
        return Err(QueryError::Limit { limit: "max_query_bytes_read", message });
    }
    let dollars = estimate.dollars() + spent;
    if let Some(most) = limits.max_query_cost.filter(|most| dollars > most.as_f64()) {
        let Estimate { line_bytes, stored_bytes, requests } = estimate;
        let message = format!(
            "the query would cost up to ${dollars:.6} ({requests} GETs for {} of objects, {} of lines), and max_query_cost is ${most}; \
             narrow the time range, or add label matchers that fewer streams pass",
            binary_bytes(stored_bytes),
            binary_bytes(line_bytes)
        );
        return Err(QueryError::Limit { limit: "max_query_cost", message });
    }
    Ok(())
}

/// As Go's `humanize.IBytes`: powers of 1024, one decimal below 10.
#[expect(clippy::cast_precision_loss, reason = "digits for display")]
fn binary_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let rounded = (value * 10.0 + 0.5).floor() / 10.0;
    if rounded < 10.0 { format!("{rounded:.1} {unit}") } else { format!("{rounded:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use schema::price::Dollars;

    use super::*;

    #[test]
    fn sizes_are_written_as_gos_humanize_does() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (82_854_982, "79 MiB"), (150 << 30, "150 GiB")] {
            assert_eq!(binary_bytes(bytes), text);
        }
    }

    fn refused(estimate: Estimate, spent: f64, limits: &QueryLimits) -> Option<(&'static str, String)> {
        match refuse_too_much(estimate, spent, limits) {
            Ok(()) => None,
            Err(QueryError::Limit { limit, message }) => Some((limit, message)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn too_many_bytes_are_refused_with_lokis_text() {
        let limits = QueryLimits { max_query_bytes_read: NonZeroU64::new(2048), ..QueryLimits::default() };
        assert_eq!(refused(Estimate { line_bytes: 2048, ..Estimate::default() }, 0.0, &limits), None);
        let text = "the query would read too many bytes (query: 3.0 KiB, limit: 2.0 KiB); consider adding more specific stream selectors or reduce the time range of the query";
        assert_eq!(refused(Estimate { line_bytes: 3072, ..Estimate::default() }, 0.0, &limits), Some(("max_query_bytes_read", text.to_owned())));
    }

    #[test]
    fn too_dear_a_query_is_told_what_it_would_cost() {
        let limits = QueryLimits { max_query_cost: Dollars::parse("0.001").unwrap(), ..QueryLimits::default() };
        // 2,000 GETs at 4e-7 are 0.0008, 10 GB at 2.3e-5 are 0.00023.
        let estimate = Estimate { line_bytes: 10_000_000_000, stored_bytes: 1 << 31, requests: 2000 };
        let (limit, text) = refused(estimate, 0.0, &limits).unwrap();
        assert_eq!(limit, "max_query_cost");
        assert!(
            text.starts_with("the query would cost up to $0.001030 (2000 GETs for 2.0 GiB of objects, 9.3 GiB of lines), and max_query_cost is $0.001; "),
            "{text}"
        );
        let cheaper = Estimate { requests: 1000, ..estimate };
        assert_eq!(refused(cheaper, 0.0003, &limits), None);
        assert!(refused(cheaper, 0.0004, &limits).is_some(), "what planning took counts too");
        assert_eq!(refused(estimate, 1e9, &QueryLimits { max_query_cost: None, ..limits }), None);
    }
}
