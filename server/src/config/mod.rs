//! The settings of `tarn serve`: read as written (`raw`), checked and typed here, once, at start.
//! Owns: precedence (flag, environment, file, default), the defaults, and what a setting may be.
//! Must not know: what the settings do.

mod access;
mod compactor;
mod elasticsearch;
mod http;
mod overrides;
mod query;
mod raw;
mod show;
mod syslog;
mod tls;
mod units;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingest_fn::elastic::ElasticSettings;
use schema::{Concurrency, IngestLimits, QueryLimits, TenantId};

use crate::args::{ServeArgs, StoreArgs};
use crate::error::TarnError;
use crate::firehose::{FirehoseConfig, Secret};
use raw::{RawConfig, RawLabels, Scalar};

pub(crate) use access::{AccessConfig, Right, SecretHashes, Tenants, Token, parse_tokens_file};
pub(crate) use compactor::CompactorConfig;
pub(crate) use http::HttpConfig;
pub(crate) use overrides::{Overrides, parse_overrides};
pub(crate) use show::duration as format_duration;
pub(crate) use syslog::SyslogConfig;
pub(crate) use tls::TlsConfig;
use units::parse_megabytes;
pub use units::{parse_duration, parse_size};

/// Every setting, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsConfig>,
    /// As [`store::object::ObjectClient::open`] reads it.
    pub(crate) store: String,
    pub(crate) role: Role,
    /// Whether a request without a tenant is refused. Off: it belongs to the tenant `fake`.
    pub(crate) auth_enabled: bool,
    pub(crate) access: AccessConfig,
    pub(crate) http: HttpConfig,
    pub(crate) log: LogConfig,
    pub(crate) ingest: IngestConfig,
    pub(crate) firehose: FirehoseConfig,
    /// What fields of documents become.
    pub(crate) elasticsearch: Arc<ElasticSettings>,
    pub(crate) syslog: SyslogConfig,
    pub(crate) query: QueryConfig,
    pub(crate) compactor: CompactorConfig,
    pub(crate) ingest_limits: IngestLimits,
    /// A file with what single tenants have instead, read anew when it changes.
    pub(crate) overrides_file: Option<PathBuf>,
    pub(crate) query_limits: QueryLimits,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// Takes pushes.
    Ingest,
    /// Answers queries.
    Query,
    /// Compacts.
    Compactor,
}

impl Role {
    const ALL: [Self; 4] = [Self::All, Self::Ingest, Self::Query, Self::Compactor];

    pub(crate) fn ingests(self) -> bool {
        matches!(self, Self::All | Self::Ingest)
    }

    pub(crate) fn queries(self) -> bool {
        matches!(self, Self::All | Self::Query)
    }

    pub(crate) fn compacts(self) -> bool {
        matches!(self, Self::All | Self::Compactor)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Compactor => "compactor",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A `tracing` filter such as `info,store=debug`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| format.as_str() == text)
    }
}

/// Group commit (DESIGN 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngestConfig {
    /// Longest time a push waits for others to share its object.
    pub(crate) flush_interval: Duration,
    /// Line bytes of one tenant that are written without waiting further.
    pub(crate) flush_bytes: usize,
}

/// What queries may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueryConfig {
    /// Bytes of chunk footers and small chunks kept in memory.
    pub(crate) cache_bytes: usize,
    /// Whether `X-Scope-OrgID: a|b` reads two tenants.
    pub(crate) multi_tenant: bool,
    /// How many run at the same time.
    pub(crate) concurrency: Concurrency,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3100),
            tls: None,
            store: "./tarn-data".to_owned(),
            role: Role::All,
            auth_enabled: false,
            access: AccessConfig::default(),
            http: HttpConfig::default(),
            log: LogConfig { filter: "info".to_owned(), format: LogFormat::Text },
            ingest: IngestConfig { flush_interval: Duration::from_millis(500), flush_bytes: 8 << 20 },
            firehose: FirehoseConfig::default(),
            elasticsearch: Arc::default(),
            syslog: SyslogConfig::default(),
            query: QueryConfig { cache_bytes: 128 << 20, multi_tenant: false, concurrency: Concurrency::default() },
            compactor: CompactorConfig::default(),
            ingest_limits: IngestLimits::default(),
            overrides_file: None,
            query_limits: QueryLimits::default(),
        }
    }
}

/// What Firehose can send.
const MAX_ACCESS_KEY_BYTES: usize = 4096;
const ADDRESS: &str = "an address such as 127.0.0.1:3100";
const DURATION: &str = "a duration such as 500ms, 30s or 7d";
const SIZE: &str = "a size such as 262144, 256KB or 8MB";
const COUNT: &str = "a whole number";
const ROLE: &str = "one of all, ingest, query and compactor";
const SWITCH: &str = "true or false";
const PATH: &str = "the path of a file";
const MEGABYTES: &str = "a number of megabytes such as 4 or 1.5, or 0 for no limit";

impl Config {
    /// Reads the file that `args` name, the environment and the flags.
    pub(crate) fn load(args: &ServeArgs) -> Result<Self, TarnError> {
        let raw = match &args.config {
            None => RawConfig::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| TarnError::ConfigRead { path: path.clone(), source })?;
                toml::from_str(&text).map_err(|source| TarnError::ConfigSyntax { path: path.clone(), source: Box::new(source) })?
            }
        };
        Self::resolve(args, raw, &|name| std::env::var(name).ok())
    }

    /// As `load`, for a function of role `role`: no flags, JSON logs unless told otherwise, and a store must be named. TARN_CONFIG may name a file of its package.
    pub fn for_function(role: Role) -> Result<Self, TarnError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if variable("TARN_STORE").is_none() && variable("TARN_CONFIG").is_none() {
            return Err(TarnError::StoreNotNamed);
        }
        let config = variable("TARN_CONFIG").map(Into::into);
        let mut config = Self::load(&ServeArgs { listen: None, store: None, role: Some(role.as_str().to_owned()), config })?;
        if variable("TARN_LOG_FORMAT").is_none() {
            config.log.format = LogFormat::Json;
        }
        Ok(config)
    }

    /// The URL of the store, with everything that may be secret in it.
    pub fn store_url(&self) -> &str {
        &self.store
    }

    /// What pushed lines are held to.
    pub fn ingest_limits(&self) -> &IngestLimits {
        &self.ingest_limits
    }

    /// How logs are written.
    pub fn log(&self) -> &LogConfig {
        &self.log
    }

    /// As [`Self::load`], for the commands that work on a store without a server.
    pub(crate) fn for_store(args: &StoreArgs) -> Result<Self, TarnError> {
        Self::load(&ServeArgs { listen: None, store: args.store.clone(), role: None, config: args.config.clone() })
    }

    fn resolve(args: &ServeArgs, raw: RawConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TarnError> {
        let d = Self::default();
        let look = Lookup { env };
        let config = Self {
            listen: look.listen(args, raw.listen.as_ref(), d.listen)?,
            tls: look.tls(&raw.tls)?,
            store: look.get("store", args.store.as_deref(), raw.store.as_ref(), d.store, non_empty, "a folder or a URL such as s3://bucket/prefix")?,
            role: look.get("role", args.role.as_deref(), raw.role.as_ref(), d.role, Role::parse, ROLE)?,
            auth_enabled: look.get("auth.enabled", None, raw.auth.enabled.as_ref(), d.auth_enabled, parse_bool, SWITCH)?,
            access: look.access(&raw.auth)?,
            http: look.http(&raw.http)?,
            log: look.log(&raw.log, d.log)?,
            ingest: IngestConfig {
                flush_interval: look.get(
                    "ingest.flush_interval",
                    None,
                    raw.ingest.flush_interval.as_ref(),
                    d.ingest.flush_interval,
                    parse_duration,
                    DURATION,
                )?,
                flush_bytes: look.get("ingest.flush_bytes", None, raw.ingest.flush_bytes.as_ref(), d.ingest.flush_bytes, parse_size, SIZE)?,
            },
            firehose: look.firehose(&raw.firehose)?,
            elasticsearch: look.elasticsearch(&raw.elasticsearch)?,
            syslog: look.syslog(&raw.syslog)?,
            query: look.query(&raw.query, d.query)?,
            compactor: look.compactor(&raw.compactor)?,
            ingest_limits: look.ingest_limits(&raw.limits, d.ingest_limits)?,
            overrides_file: look.get("limits.overrides_file", None, raw.limits.overrides_file.as_ref(), d.overrides_file, parse_path, PATH)?,
            query_limits: look.query_limits(&raw.limits, d.query_limits)?,
        };
        config.syslog.check(config.tls.is_some(), config.auth_enabled || config.access.needs_token())?;
        Ok(config)
    }
}

impl LogConfig {
    /// Logging of the other commands: warnings, or what the environment asks for.
    pub(crate) fn for_commands() -> Result<Self, TarnError> {
        let look = Lookup { env: &|name| std::env::var(name).ok() };
        look.log(&raw::RawLog::default(), Self { filter: "warn".to_owned(), format: LogFormat::Text })
    }
}

/// Finds a setting in the order of precedence.
struct Lookup<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Lookup<'_> {
    /// The setting `key`, or `default` where nobody set it. `parse` answers `None` for what is not `expected`.
    fn get<T>(
        &self,
        key: &str,
        flag: Option<&str>,
        raw: Option<&Scalar>,
        default: T,
        parse: impl Fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<T, TarnError> {
        let variable = environment_name(key);
        let (origin, value) = if let Some(value) = flag {
            (format!("--{key}"), value.to_owned())
        } else if let Some(value) = (self.env)(&variable).filter(|v| !v.is_empty()) {
            (variable, value)
        } else if let Some(value) = raw {
            (format!("{key} in the configuration file"), value.to_string())
        } else {
            return Ok(default);
        };
        parse(value.trim()).ok_or(TarnError::Setting { origin, value, expected })
    }

    fn listen(&self, args: &ServeArgs, raw: Option<&Scalar>, default: SocketAddr) -> Result<SocketAddr, TarnError> {
        let explicit = args.listen.is_some() || (self.env)("TARN_LISTEN").is_some_and(|v| !v.is_empty());
        match (self.env)("PORT").filter(|v| !v.is_empty()) {
            Some(port) if !explicit => {
                let number =
                    port.trim().parse().map_err(|_| TarnError::Setting { origin: "PORT".to_owned(), value: port, expected: "a port between 0 and 65535" })?;
                Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number))
            }
            _ => self.get("listen", args.listen.as_deref(), raw, default, parse_address, ADDRESS),
        }
    }

    fn log(&self, raw: &raw::RawLog, default: LogConfig) -> Result<LogConfig, TarnError> {
        let filter = |text: &str| tracing_subscriber::EnvFilter::builder().parse(text).ok().map(|_| text.to_owned());
        Ok(LogConfig {
            filter: self.get("log", None, raw.filter.as_ref(), default.filter, filter, "a log filter such as info or info,store=debug")?,
            format: self.get("log.format", None, raw.format.as_ref(), default.format, LogFormat::parse, "text or json")?,
        })
    }

    fn firehose(&self, raw: &raw::RawFirehose) -> Result<FirehoseConfig, TarnError> {
        let key = |text: &str| (!text.is_empty() && text.len() <= MAX_ACCESS_KEY_BYTES).then(|| Some(Secret::new(text)));
        let tenant = |text: &str| TenantId::parse(text).ok().map(Some);
        let access_key = self.get("firehose.access_key", None, raw.access_key.as_ref(), None, key, "an access key of at most 4096 bytes");
        Ok(FirehoseConfig {
            access_key: access_key.map_err(without_value)?,
            tenant: self.get("firehose.tenant", None, raw.tenant.as_ref(), None, tenant, "a tenant id")?,
        })
    }

    fn ingest_limits(&self, raw: &raw::RawLimits, d: IngestLimits) -> Result<IngestLimits, TarnError> {
        let size = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_size, SIZE);
        let count = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_count, COUNT);
        let age = |key: &str, raw: &Option<Scalar>, default| self.get(key, None, raw.as_ref(), default, parse_off_or_duration, DURATION);
        Ok(IngestLimits {
            max_line_size: size("limits.max_line_size", &raw.max_line_size, d.max_line_size)?,
            max_label_names_per_series: count("limits.max_label_names_per_series", &raw.max_label_names_per_series, d.max_label_names_per_series)?,
            max_label_name_length: size("limits.max_label_name_length", &raw.max_label_name_length, d.max_label_name_length)?,
            max_label_value_length: size("limits.max_label_value_length", &raw.max_label_value_length, d.max_label_value_length)?,
            max_structured_metadata_size: size("limits.max_structured_metadata_size", &raw.max_structured_metadata_size, d.max_structured_metadata_size)?,
            max_structured_metadata_entries_count: count(
                "limits.max_structured_metadata_entries_count",
                &raw.max_structured_metadata_entries_count,
                d.max_structured_metadata_entries_count,
            )?,
            max_body_bytes: size("limits.max_body_bytes", &raw.max_body_bytes, d.max_body_bytes)?,
            max_decompressed_bytes: size("limits.max_decompressed_bytes", &raw.max_decompressed_bytes, d.max_decompressed_bytes)?,
            reject_old_samples_max_age: age("limits.reject_old_samples_max_age", &raw.reject_old_samples_max_age, d.reject_old_samples_max_age)?,
            creation_grace_period: age("limits.creation_grace_period", &raw.creation_grace_period, d.creation_grace_period)?,
            otlp_index_labels: self.get(
                "limits.otlp_index_labels",
                None,
                raw.otlp_index_labels.as_ref().map(RawLabels::to_scalar).as_ref(),
                d.otlp_index_labels.clone(),
                parse_names,
                "names of resource attributes with commas between them, such as service.name,k8s.pod.name",
            )?,
            ingestion_rate: self.get("limits.ingestion_rate_mb", None, raw.ingestion_rate_mb.as_ref(), d.ingestion_rate, parse_rate, MEGABYTES)?,
            ingestion_burst: self.get(
                "limits.ingestion_burst_size_mb",
                None,
                raw.ingestion_burst_size_mb.as_ref(),
                d.ingestion_burst,
                parse_megabytes,
                MEGABYTES,
            )?,
            discover: self.get("limits.discover", None, raw.discover.as_ref(), d.discover, parse_bool, SWITCH)?,
            ..d
        })
    }
}

/// The error without a secret in it.
fn without_value(error: TarnError) -> TarnError {
    match error {
        TarnError::Setting { origin, expected, .. } => TarnError::Setting { origin, value: "***".to_owned(), expected },
        other => other,
    }
}

/// `limits.max_line_size` is `TARN_LIMITS_MAX_LINE_SIZE`.
fn environment_name(key: &str) -> String {
    format!("TARN_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A bare `:3100` listens on every interface, as in Go.
fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix(':') {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port.parse().ok()?));
    }
    text.strip_prefix("localhost:").map_or_else(|| text.parse().ok(), |port| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)))
}

fn parse_bool(text: &str) -> Option<bool> {
    text.parse().ok()
}

fn parse_count(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// Names with commas between them; a list that has an empty one is none. No text at all is no name.
fn parse_names(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}

fn parse_path(text: &str) -> Option<Option<PathBuf>> {
    Some(Some(PathBuf::from(text)))
}

/// `0` switches it off.
fn parse_rate(text: &str) -> Option<Option<NonZeroU64>> {
    parse_megabytes(text).map(NonZeroU64::new)
}

/// `0` switches a limit off.
fn parse_off_or_duration(text: &str) -> Option<Option<Duration>> {
    parse_duration(text).map(|d| (!d.is_zero()).then_some(d))
}

#[cfg(test)]
pub(crate) mod tests;
