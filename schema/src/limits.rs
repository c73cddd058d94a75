//! What a request may ask for or bring, with Loki's names (spec/http-api.md section 9).
//! Limits that only protect Loki's own design are off by default; those that protect the user are on (DESIGN 6).

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Loki's default for [`IngestLimits::otlp_index_labels`]: what says where logs come from and has few values.
pub const OTLP_INDEX_LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];
use crate::TenantId;
use crate::price::Dollars;

/// Which limits hold for a tenant now. They can change between two requests.
pub trait LimitsOf<L>: fmt::Debug + Send + Sync {
    /// The limits of `tenant`.
    fn limits_of(&self, tenant: &TenantId) -> Arc<L>;
}

/// The same limits for every tenant.
#[derive(Clone, Debug)]
pub struct SameForAll<L>(pub Arc<L>);

impl<L: fmt::Debug + Send + Sync> LimitsOf<L> for SameForAll<L> {
    fn limits_of(&self, _: &TenantId) -> Arc<L> {
        Arc::clone(&self.0)
    }
}

/// Limits on a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestLimits {
    /// Longest line in bytes (`max_line_size`).
    pub max_line_size: usize,
    /// Most labels of a stream, `service_name` not counted (`max_label_names_per_series`).
    pub max_label_names_per_series: usize,
    /// Longest label name in bytes (`max_label_name_length`).
    pub max_label_name_length: usize,
    /// Longest label value in bytes (`max_label_value_length`).
    pub max_label_value_length: usize,
    /// Most structured metadata bytes of one entry, names and values (`max_structured_metadata_size`).
    pub max_structured_metadata_size: usize,
    /// Most structured metadata pairs of one entry (`max_structured_metadata_entries_count`).
    pub max_structured_metadata_entries_count: usize,
    /// Largest compressed body in bytes.
    pub max_body_bytes: usize,
    /// Largest decompressed body in bytes. Loki allows 5000 MiB; here the bound on a request's memory comes first.
    pub max_decompressed_bytes: usize,
    /// Largest label text of one stream in bytes.
    pub max_stream_labels_bytes: usize,
    /// Refuse entries older than this (`reject_old_samples_max_age`); `None` takes any age.
    pub reject_old_samples_max_age: Option<Duration>,
    /// Refuse entries further in the future than this (`creation_grace_period`); `None` takes any.
    pub creation_grace_period: Option<Duration>,
    /// Resource attributes of OTLP logs that become labels of the stream; the others become structured metadata.
    pub otlp_index_labels: Vec<String>,
    /// Most bytes of lines and structured metadata a second of one tenant in one process (`ingestion_rate_mb`); `None` allows any.
    pub ingestion_rate: Option<NonZeroU64>,
    /// Most of them at once (`ingestion_burst_size_mb`).
    pub ingestion_burst: u64,
    /// Find `service_name` and `detected_level` where they are missing.
    pub discover: bool,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            max_line_size: 256 << 10,
            max_label_names_per_series: 15,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_structured_metadata_size: 64 << 10,
            max_structured_metadata_entries_count: 128,
            max_body_bytes: 100 << 20,
            max_decompressed_bytes: 256 << 20,
            max_stream_labels_bytes: 16 << 20,
            reject_old_samples_max_age: None,
            creation_grace_period: None,
            otlp_index_labels: OTLP_INDEX_LABELS.map(str::to_owned).to_vec(),
            ingestion_rate: None,
            ingestion_burst: 6 << 20,
            discover: true,
        }
    }
}

/// How many queries one process runs, and lets wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Most queries at the same time (Loki's `querier.max_concurrent`); 0 allows any.
    pub max_concurrent: usize,
    /// Most queries of one tenant that wait (Loki's `frontend.max_outstanding_per_tenant`); 0 lets none wait.
    pub max_outstanding_per_tenant: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { max_concurrent: 32, max_outstanding_per_tenant: 256 }
    }
}

/// Limits on a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Most entries a log query may ask for (`max_entries_limit_per_query`).
    pub max_entries_limit_per_query: usize,
    /// Most series a metric query may answer with (`max_query_series`).
    pub max_query_series: usize,
    /// Longest time range of a query (`max_query_length`); `None` allows any.
    pub max_query_length: Option<Duration>,
    /// Longest range in brackets (`max_query_range`); `None` allows any.
    pub max_query_range: Option<Duration>,
    /// How long a query may run (`query_timeout`).
    pub query_timeout: Duration,
    /// Most points per series of a range query; fixed at 11,000 in Loki.
    pub max_points_per_series: u64,
    /// Memory that one query's operators may hold, in bytes.
    pub max_query_memory_bytes: usize,
    /// What is older is not read (`max_query_lookback`); `None` reads everything.
    pub max_query_lookback: Option<Duration>,
    /// Most bytes of lines that the scans of a query may have to read (`max_query_bytes_read`), known before a row is read; `None` allows any.
    pub max_query_bytes_read: Option<NonZeroU64>,
    /// Most that a query may cost by estimate, at list prices; `None` allows any. Tarn's own.
    pub max_query_cost: Option<Dollars>,
    /// Labels that every selector must have a matcher for (`required_labels`).
    pub required_labels: Vec<String>,
    /// Least matchers of a selector (`required_number_label_matchers`); 0 asks for none.
    pub required_number_label_matchers: usize,
    /// Most matchers of a selector (`max_streams_matchers_per_query`).
    pub max_streams_matchers_per_query: usize,
    /// Most queries of the tenant that run at the same time in one process; further ones wait. 0 allows any. Tarn's own.
    pub max_concurrent_queries: usize,
    /// Most tails of the tenant in one process (`max_concurrent_tail_requests`).
    pub max_concurrent_tail_requests: usize,
    /// Whether volumes are answered (`volume_enabled`).
    pub volume_enabled: bool,
    /// Most series of a volume (`volume_max_series`).
    pub volume_max_series: usize,
}

impl QueryLimits {
    /// What a query over two tenants is held to: of each limit the stricter one, as Loki takes it.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let shorter = |a: Option<Duration>, b: Option<Duration>| a.into_iter().chain(b).min();
        Self {
            max_entries_limit_per_query: self.max_entries_limit_per_query.min(other.max_entries_limit_per_query),
            max_query_series: self.max_query_series.min(other.max_query_series),
            max_query_length: shorter(self.max_query_length, other.max_query_length),
            max_query_range: shorter(self.max_query_range, other.max_query_range),
            query_timeout: self.query_timeout.min(other.query_timeout),
            max_points_per_series: self.max_points_per_series.min(other.max_points_per_series),
            max_query_memory_bytes: self.max_query_memory_bytes.min(other.max_query_memory_bytes),
            max_query_lookback: shorter(self.max_query_lookback, other.max_query_lookback),
            max_query_bytes_read: self.max_query_bytes_read.into_iter().chain(other.max_query_bytes_read).min(),
            max_query_cost: self.max_query_cost.into_iter().chain(other.max_query_cost).min(),
            required_labels: self.required_labels.iter().chain(&other.required_labels).cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            required_number_label_matchers: self.required_number_label_matchers.max(other.required_number_label_matchers),
            max_streams_matchers_per_query: self.max_streams_matchers_per_query.min(other.max_streams_matchers_per_query),
            // Each tenant's own is counted for it.
            max_concurrent_queries: self.max_concurrent_queries.min(other.max_concurrent_queries),
            max_concurrent_tail_requests: self.max_concurrent_tail_requests.min(other.max_concurrent_tail_requests),
            volume_enabled: self.volume_enabled && other.volume_enabled,
            volume_max_series: self.volume_max_series.min(other.volume_max_series),
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_entries_limit_per_query: 5000,
            max_query_series: 500,
            max_query_length: Some(Duration::from_secs(721 * 3600)),
            max_query_range: None,
            query_timeout: Duration::from_secs(60),
            max_points_per_series: 11_000,
            max_query_memory_bytes: 512 << 20,
            max_query_lookback: None,
            max_query_bytes_read: None,
            max_query_cost: Dollars::parse("1").flatten(),
            required_labels: Vec::new(),
            required_number_label_matchers: 0,
            max_streams_matchers_per_query: 1000,
            max_concurrent_queries: 24,
            max_concurrent_tail_requests: 10,
            volume_enabled: true,
            volume_max_series: 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_tenants_the_stricter_limit_holds() {
        let hours = |n: u64| Some(Duration::from_secs(3600 * n));
        let a = QueryLimits { max_query_series: 7, max_query_length: None, max_query_range: hours(1), ..QueryLimits::default() };
        let b = QueryLimits { max_query_series: 9, max_query_length: hours(2), max_query_range: hours(3), ..QueryLimits::default() };
        let a = QueryLimits { required_labels: vec!["b".to_owned(), "a".to_owned()], max_query_bytes_read: None, volume_enabled: false, ..a };
        let b = QueryLimits { required_labels: vec!["b".to_owned()], max_query_bytes_read: NonZeroU64::new(5), required_number_label_matchers: 2, ..b };
        let both = QueryLimits {
            required_labels: vec!["a".to_owned(), "b".to_owned()],
            max_query_bytes_read: NonZeroU64::new(5),
            required_number_label_matchers: 2,
            volume_enabled: false,
            ..QueryLimits::default()
        };
        let both = QueryLimits { max_query_series: 7, max_query_length: hours(2), max_query_range: hours(1), ..both };
        assert_eq!(a.strictest(&b), both);
        assert_eq!(b.strictest(&a), both);
    }
}
