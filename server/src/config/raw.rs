//! The configuration file as written. A key that is not listed here is an error that shows its line.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::access::RawToken;

/// A value of any simple kind; `256` and `"256"` mean the same, as they do in the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    pub(super) listen: Option<Scalar>,
    pub(super) store: Option<Scalar>,
    pub(super) role: Option<Scalar>,
    pub(super) tls: RawTls,
    pub(super) auth: RawAuth,
    pub(super) http: RawHttp,
    pub(super) log: RawLog,
    pub(super) ingest: RawIngest,
    pub(super) firehose: RawFirehose,
    pub(super) elasticsearch: RawElasticsearch,
    pub(super) syslog: RawSyslog,
    pub(super) query: RawQuery,
    pub(super) compactor: RawCompactor,
    pub(super) limits: RawLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) cert_file: Option<Scalar>,
    pub(super) key_file: Option<Scalar>,
    pub(super) client_ca_file: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuth {
    pub(super) enabled: Option<Scalar>,
    pub(super) open: Option<RawLabels>,
    pub(super) tokens_file: Option<Scalar>,
    /// `[[auth.tokens]]`
    pub(super) tokens: Vec<RawToken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttp {
    pub(super) max_connections: Option<Scalar>,
    pub(super) head_timeout: Option<Scalar>,
    pub(super) idle_timeout: Option<Scalar>,
    pub(super) body_timeout: Option<Scalar>,
    pub(super) body_stall_timeout: Option<Scalar>,
    pub(super) write_timeout: Option<Scalar>,
    pub(super) max_body_memory: Option<Scalar>,
    pub(super) max_answer_memory: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) filter: Option<Scalar>,
    pub(super) format: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawIngest {
    pub(super) flush_interval: Option<Scalar>,
    pub(super) flush_bytes: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFirehose {
    pub(super) access_key: Option<Scalar>,
    pub(super) tenant: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawElasticsearch {
    pub(super) label_fields: Option<RawLabels>,
    pub(super) line_fields: Option<RawLabels>,
    pub(super) time_fields: Option<RawLabels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSyslog {
    pub(super) listen_tcp: Option<Scalar>,
    pub(super) listen_tls: Option<Scalar>,
    pub(super) listen_udp: Option<Scalar>,
    pub(super) tenant: Option<Scalar>,
    pub(super) labels: Option<Scalar>,
    pub(super) label_fields: Option<RawLabels>,
    pub(super) time_zone: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawQuery {
    pub(super) cache_bytes: Option<Scalar>,
    pub(super) multi_tenant_queries_enabled: Option<Scalar>,
    pub(super) max_concurrent: Option<Scalar>,
    pub(super) max_outstanding_per_tenant: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCompactor {
    pub(super) enabled: Option<Scalar>,
    pub(super) interval: Option<Scalar>,
    pub(super) partition_labels: Option<RawLabels>,
    pub(super) grace: Option<Scalar>,
    pub(super) delete_cancel_period: Option<Scalar>,
    pub(super) retention_period: Option<Scalar>,
    /// `[[compactor.retention]]`
    pub(super) retention: Vec<RawRetention>,
    /// `[compactor.tenants.<id>]`
    pub(super) tenants: BTreeMap<String, RawTenant>,
}

/// A list of names, or one text with commas between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RawLabels {
    List(Vec<String>),
    Text(String),
}

impl RawLabels {
    /// As the environment would say it.
    pub(super) fn to_scalar(&self) -> Scalar {
        match self {
            Self::List(names) => Scalar::Text(names.join(",")),
            Self::Text(text) => Scalar::Text(text.clone()),
        }
    }
}

/// How long the rows of some streams are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRetention {
    pub(super) tenant: Option<String>,
    pub(super) selector: Option<String>,
    pub(super) priority: Option<Scalar>,
    pub(super) period: Option<Scalar>,
}

/// What a tenant has of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTenant {
    pub(super) partition_labels: Option<RawLabels>,
    pub(super) retention_period: Option<Scalar>,
}

/// Limits of pushes and queries, under Loki's names where Loki has them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    pub(super) overrides_file: Option<Scalar>,
    pub(super) ingestion_rate_mb: Option<Scalar>,
    pub(super) ingestion_burst_size_mb: Option<Scalar>,
    pub(super) max_line_size: Option<Scalar>,
    pub(super) max_label_names_per_series: Option<Scalar>,
    pub(super) max_label_name_length: Option<Scalar>,
    pub(super) max_label_value_length: Option<Scalar>,
    pub(super) max_structured_metadata_size: Option<Scalar>,
    pub(super) max_structured_metadata_entries_count: Option<Scalar>,
    pub(super) max_body_bytes: Option<Scalar>,
    pub(super) max_decompressed_bytes: Option<Scalar>,
    pub(super) reject_old_samples_max_age: Option<Scalar>,
    pub(super) creation_grace_period: Option<Scalar>,
    pub(super) otlp_index_labels: Option<RawLabels>,
    pub(super) discover: Option<Scalar>,
    pub(super) max_entries_limit_per_query: Option<Scalar>,
    pub(super) max_query_series: Option<Scalar>,
    pub(super) max_query_length: Option<Scalar>,
    pub(super) max_query_range: Option<Scalar>,
    pub(super) query_timeout: Option<Scalar>,
    pub(super) max_query_memory_bytes: Option<Scalar>,
    pub(super) max_query_lookback: Option<Scalar>,
    pub(super) max_query_bytes_read: Option<Scalar>,
    pub(super) max_query_cost: Option<Scalar>,
    pub(super) required_labels: Option<RawLabels>,
    pub(super) required_number_label_matchers: Option<Scalar>,
    pub(super) max_streams_matchers_per_query: Option<Scalar>,
    pub(super) max_concurrent_queries: Option<Scalar>,
    pub(super) max_concurrent_tail_requests: Option<Scalar>,
    pub(super) volume_enabled: Option<Scalar>,
    pub(super) volume_max_series: Option<Scalar>,
}
