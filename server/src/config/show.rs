//! The settings in force as YAML, for `GET /config`. Whatever could be a secret is masked.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::time::Duration;

use schema::{IngestLimits, QueryLimits};

use super::Config;
use super::access::show_access;
use super::compactor::{show_compactor, tenant_limits_yaml};
use super::elasticsearch::show_elasticsearch;
use super::http::show_http;
use super::syslog::show_syslog;
use super::tls::show_tls;

impl Config {
    /// The settings that differ from the defaults, as YAML.
    pub(crate) fn diff_yaml(&self) -> String {
        let (ours, defaults) = (self.to_yaml(), Self::default().to_yaml());
        let mut out = String::new();
        let mut section = None;
        // Both have the same keys in the same order.
        for (line, default) in ours.lines().zip(defaults.lines()) {
            if line.ends_with(':') {
                section = Some(line);
            } else if line != default {
                if line.starts_with(' ')
                    && let Some(section) = section.take()
                {
                    out.push_str(section);
                    out.push('\n');
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }

    /// The limits of `tenant`, which are `of_tenant`, and how long its rows are kept, as YAML.
    pub(crate) fn limits_yaml(&self, tenant: &schema::TenantId, (ingest, query): (&IngestLimits, &QueryLimits)) -> String {
        let of_tenant = Self { ingest_limits: ingest.clone(), query_limits: query.clone(), overrides_file: None, ..self.clone() };
        let limits = of_tenant
            .to_yaml()
            .lines()
            .skip_while(|line| *line != "limits:")
            .skip(1)
            .filter(|line| !line.trim_start().starts_with("overrides_file"))
            .fold(String::new(), |out, line| out + line.trim_start() + "\n");
        limits + &tenant_limits_yaml(&self.compactor, tenant)
    }

    /// YAML of two levels, with the names of the configuration file.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        let (i, q) = (&self.ingest_limits, &self.query_limits);
        let mut put = |key: &str, value: String| {
            let _ = writeln!(out, "{key}: {value}");
        };
        put("listen", text(&self.listen.to_string()));
        put("store", text(&redact_url(&self.store)));
        put("role", text(self.role.as_str()));
        put("tls", String::new());
        for (key, value) in show_tls(self.tls.as_ref()) {
            put(&format!("  {key}"), value);
        }
        put("auth", String::new());
        put("  enabled", self.auth_enabled.to_string());
        for (key, value) in show_access(&self.access) {
            put(&format!("  {key}"), value);
        }
        put("http", String::new());
        for (key, value) in show_http(&self.http) {
            put(&format!("  {key}"), value);
        }
        put("log", String::new());
        put("  filter", text(&self.log.filter));
        put("  format", text(self.log.format.as_str()));
        put("ingest", String::new());
        put("  flush_interval", duration(self.ingest.flush_interval));
        put("  flush_bytes", self.ingest.flush_bytes.to_string());
        put("firehose", String::new());
        put("  access_key", text(if self.firehose.access_key.is_some() { "***" } else { "" }));
        put("  tenant", text(self.firehose.tenant.as_ref().map_or("", |tenant| tenant.as_str())));
        put("elasticsearch", String::new());
        for (key, value) in show_elasticsearch(&self.elasticsearch) {
            put(&format!("  {key}"), value);
        }
        put("syslog", String::new());
        for (key, value) in show_syslog(&self.syslog) {
            put(&format!("  {key}"), value);
        }
        put("query", String::new());
        put("  cache_bytes", self.query.cache_bytes.to_string());
        put("  multi_tenant_queries_enabled", self.query.multi_tenant.to_string());
        put("  max_concurrent", self.query.concurrency.max_concurrent.to_string());
        put("  max_outstanding_per_tenant", self.query.concurrency.max_outstanding_per_tenant.to_string());
        put("compactor", String::new());
        for (key, value) in show_compactor(&self.compactor) {
            put(&format!("  {key}"), value);
        }
        put("limits", String::new());
        put("  max_line_size", i.max_line_size.to_string());
        put("  max_label_names_per_series", i.max_label_names_per_series.to_string());
        put("  max_label_name_length", i.max_label_name_length.to_string());
        put("  max_label_value_length", i.max_label_value_length.to_string());
        put("  max_structured_metadata_size", i.max_structured_metadata_size.to_string());
        put("  max_structured_metadata_entries_count", i.max_structured_metadata_entries_count.to_string());
        put("  max_body_bytes", i.max_body_bytes.to_string());
        put("  max_decompressed_bytes", i.max_decompressed_bytes.to_string());
        put("  reject_old_samples_max_age", duration(i.reject_old_samples_max_age.unwrap_or_default()));
        put("  creation_grace_period", duration(i.creation_grace_period.unwrap_or_default()));
        put("  otlp_index_labels", text(&i.otlp_index_labels.join(",")));
        put("  ingestion_rate_mb", megabytes(i.ingestion_rate.map_or(0, NonZeroU64::get)));
        put("  ingestion_burst_size_mb", megabytes(i.ingestion_burst));
        put("  discover", i.discover.to_string());
        put("  max_entries_limit_per_query", q.max_entries_limit_per_query.to_string());
        put("  max_query_series", q.max_query_series.to_string());
        put("  max_query_length", duration(q.max_query_length.unwrap_or_default()));
        put("  max_query_range", duration(q.max_query_range.unwrap_or_default()));
        put("  query_timeout", duration(q.query_timeout));
        put("  max_query_memory_bytes", q.max_query_memory_bytes.to_string());
        put("  max_query_lookback", duration(q.max_query_lookback.unwrap_or_default()));
        put("  max_query_bytes_read", q.max_query_bytes_read.map_or(0, NonZeroU64::get).to_string());
        put("  max_query_cost", q.max_query_cost.map_or_else(|| "0".to_owned(), |dollars| dollars.to_string()));
        put("  required_labels", text(&q.required_labels.join(",")));
        put("  required_number_label_matchers", q.required_number_label_matchers.to_string());
        put("  max_streams_matchers_per_query", q.max_streams_matchers_per_query.to_string());
        put("  max_concurrent_queries", q.max_concurrent_queries.to_string());
        put("  max_concurrent_tail_requests", q.max_concurrent_tail_requests.to_string());
        put("  volume_enabled", q.volume_enabled.to_string());
        put("  volume_max_series", q.volume_max_series.to_string());
        put("  overrides_file", text(&self.overrides_file.as_ref().map_or_else(String::new, |path| path.display().to_string())));
        out.lines().fold(String::new(), |mut text, line| {
            text.push_str(line.trim_end());
            text.push('\n');
            text
        })
    }
}

/// With as many decimals as it needs, up to six.
fn megabytes(bytes: u64) -> String {
    let millionths = u128::from(bytes) * 1_000_000 / (1 << 20);
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000).trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(value: &str) -> String {
    schema::quote::quote(value)
}

/// The largest unit that divides the duration, so that the text can be read back.
pub(crate) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
        .into_iter()
        .find(|(_, unit)| nanos != 0 && nanos.is_multiple_of(*unit))
        .map_or_else(|| if nanos == 0 { "0".to_owned() } else { format!("{nanos}ns") }, |(name, unit)| format!("{}{name}", nanos / unit))
}

/// Masks credentials (`user:password@`) and query parameters of a URL.
pub(super) fn redact_url(url: &str) -> String {
    let without_query = url.split_once('?').map_or(url.to_owned(), |(base, _)| format!("{base}?***"));
    match without_query.split_once("://") {
        Some((scheme, rest)) => {
            let authority_end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(authority_end);
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}{path}"),
                None => without_query,
            }
        }
        None => without_query,
    }
}

impl Config {
    /// The store's URL without what could be a secret.
    pub(crate) fn redacted_store(&self) -> String {
        redact_url(&self.store)
    }
}
