//! Queries that a limit refused, by the limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parking_lot::Mutex;

use crate::QueryError;

/// Every limit that can refuse a query: what never did is 0.
const LIMITS: [&str; 14] = [
    "max_concurrent_tail_requests",
    "max_entries_limit_per_query",
    "max_outstanding_per_tenant",
    "max_query_bytes_read",
    "max_query_cost",
    "max_query_length",
    "max_query_memory_bytes",
    "max_query_range",
    "max_query_series",
    "max_streams_matchers_per_query",
    "query_timeout",
    "required_labels",
    "required_number_label_matchers",
    "volume_enabled",
];

/// Counters by the name of the limit.
#[derive(Debug)]
pub(super) struct Refusals {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { counts: Mutex::new(LIMITS.into_iter().map(|limit| (limit, 0)).collect()) }
    }

    /// `outcome`, counted if a limit is the reason that it is an error.
    pub(super) fn counted<T>(&self, outcome: Result<T, QueryError>) -> Result<T, QueryError> {
        if let Some(limit) = outcome.as_ref().err().and_then(QueryError::limit) {
            *self.counts.lock().entry(limit).or_default() += 1;
        }
        outcome
    }

    /// Prometheus' text form.
    pub(super) fn render_prometheus(&self, out: &mut String) {
        out.push_str("# HELP tarn_queries_refused_total Queries that a limit refused or ended, by the limit.\n# TYPE tarn_queries_refused_total counter\n");
        for (limit, count) in self.counts.lock().iter() {
            let _ = writeln!(out, "tarn_queries_refused_total{{reason=\"{limit}\"}} {count}");
        }
    }
}
