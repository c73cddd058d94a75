//! `[query]`, and the limits of queries in `[limits]`.

use std::num::NonZeroU64;

use schema::price::Dollars;
use schema::{Concurrency, QueryLimits};

use super::raw::{RawLabels, RawLimits, RawQuery, Scalar};
use super::{COUNT, DURATION, Lookup, QueryConfig, SIZE, SWITCH, parse_bool, parse_count, parse_duration, parse_names, parse_off_or_duration, parse_size};
use crate::error::TarnError;

const DOLLARS: &str = "a price in US dollars such as 0.05, with up to nine decimals, or 0 for no limit";
const LABELS: &str = "names of labels with commas between them, such as app,env";

impl Lookup<'_> {
    pub(super) fn query(&self, raw: &RawQuery, d: QueryConfig) -> Result<QueryConfig, TarnError> {
        let count = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_count, COUNT);
        let enabled = raw.multi_tenant_queries_enabled.as_ref();
        Ok(QueryConfig {
            cache_bytes: self.get("query.cache_bytes", None, raw.cache_bytes.as_ref(), d.cache_bytes, parse_size, SIZE)?,
            multi_tenant: self.get("query.multi_tenant_queries_enabled", None, enabled, d.multi_tenant, parse_bool, SWITCH)?,
            concurrency: Concurrency {
                max_concurrent: count("query.max_concurrent", &raw.max_concurrent, d.concurrency.max_concurrent)?,
                max_outstanding_per_tenant: count(
                    "query.max_outstanding_per_tenant",
                    &raw.max_outstanding_per_tenant,
                    d.concurrency.max_outstanding_per_tenant,
                )?,
            },
        })
    }

    pub(super) fn query_limits(&self, raw: &RawLimits, d: QueryLimits) -> Result<QueryLimits, TarnError> {
        let size = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_size, SIZE);
        let count = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_count, COUNT);
        let length = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_off_or_duration, DURATION);
        let labels = raw.required_labels.as_ref().map(RawLabels::to_scalar);
        Ok(QueryLimits {
            max_entries_limit_per_query: count("limits.max_entries_limit_per_query", &raw.max_entries_limit_per_query, d.max_entries_limit_per_query)?,
            max_query_series: count("limits.max_query_series", &raw.max_query_series, d.max_query_series)?,
            max_query_length: length("limits.max_query_length", &raw.max_query_length, d.max_query_length)?,
            max_query_range: length("limits.max_query_range", &raw.max_query_range, d.max_query_range)?,
            query_timeout: self.get("limits.query_timeout", None, raw.query_timeout.as_ref(), d.query_timeout, parse_duration, DURATION)?,
            max_query_memory_bytes: size("limits.max_query_memory_bytes", &raw.max_query_memory_bytes, d.max_query_memory_bytes)?,
            max_query_lookback: length("limits.max_query_lookback", &raw.max_query_lookback, d.max_query_lookback)?,
            max_query_bytes_read: self.get(
                "limits.max_query_bytes_read",
                None,
                raw.max_query_bytes_read.as_ref(),
                d.max_query_bytes_read,
                parse_off_or_size,
                SIZE,
            )?,
            max_query_cost: self.get("limits.max_query_cost", None, raw.max_query_cost.as_ref(), d.max_query_cost, Dollars::parse, DOLLARS)?,
            required_labels: self.get("limits.required_labels", None, labels.as_ref(), d.required_labels.clone(), parse_names, LABELS)?,
            required_number_label_matchers: count(
                "limits.required_number_label_matchers",
                &raw.required_number_label_matchers,
                d.required_number_label_matchers,
            )?,
            max_streams_matchers_per_query: count(
                "limits.max_streams_matchers_per_query",
                &raw.max_streams_matchers_per_query,
                d.max_streams_matchers_per_query,
            )?,
            max_concurrent_queries: count("limits.max_concurrent_queries", &raw.max_concurrent_queries, d.max_concurrent_queries)?,
            max_concurrent_tail_requests: count("limits.max_concurrent_tail_requests", &raw.max_concurrent_tail_requests, d.max_concurrent_tail_requests)?,
            volume_enabled: self.get("limits.volume_enabled", None, raw.volume_enabled.as_ref(), d.volume_enabled, parse_bool, SWITCH)?,
            volume_max_series: count("limits.volume_max_series", &raw.volume_max_series, d.volume_max_series)?,
            ..d
        })
    }
}

/// `0` switches a limit off.
fn parse_off_or_size(text: &str) -> Option<Option<NonZeroU64>> {
    parse_size(text).and_then(|bytes| u64::try_from(bytes).ok()).map(NonZeroU64::new)
}
