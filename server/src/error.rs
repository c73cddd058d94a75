//! Why a command or the server gave up. The texts say which input was wrong and what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::StatusCode;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum TarnError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: check --config (or TARN_CONFIG)", path.display())]
    ConfigRead {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is not TOML of the documented form.
    #[error("the configuration file {} is wrong:\n{source}", path.display())]
    ConfigSyntax {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A setting whose value cannot be used.
    #[error("{origin}: '{value}' is not {expected}")]
    Setting {
        /// `--listen`, `TARN_LISTEN` or `listen in tarn.toml`.
        origin: String,
        /// What it was set to.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A `[[compactor.retention]]` that cannot be used.
    #[error("rule {rule} of [[compactor.retention]] in the configuration file: {problem}")]
    Retention {
        /// Which, counted from 1.
        rule: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// An `[[auth.tokens]]` that cannot be used.
    #[error("[[auth.tokens]] in the configuration file: {problem}")]
    Tokens {
        /// What is wrong, and with which.
        problem: String,
    },
    /// The address of `[syslog]` cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with {setting}")]
    ListenSyslog {
        /// Which address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Syslog has no credentials and names no tenant.
    #[error("requests need a tenant or a token here, and syslog has neither: set syslog.tenant to the tenant that its messages are for")]
    SyslogTenant,
    /// A listener for syslog over TLS, and no certificate.
    #[error("syslog.listen_tls is set, and there is no certificate: set tls.cert_file and tls.key_file")]
    SyslogTls,
    /// Some settings of `[tls]` without others that they need.
    #[error("{present} is set and {missing} is not: TLS needs both; set neither to speak plain HTTP")]
    TlsHalf {
        /// What is set.
        present: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// A file of `[tls]` is not what its setting says.
    #[error("the file {} of {setting} is wrong: {problem}", path.display())]
    TlsFile {
        /// Which file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A file that is read anew when it changes cannot be read.
    #[error("cannot read {}: check {setting}", path.display())]
    WatchedFile {
        /// Which file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `limits.overrides_file` is not of the documented form.
    #[error("the overrides file {} is wrong: {problem}", path.display())]
    Overrides {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `auth.tokens_file` is not of the documented form.
    #[error("the tokens file {} is wrong: {problem}", path.display())]
    TokensFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; no secret.
        problem: String,
    },
    /// A function that nobody told where its data is.
    #[error("no store is named: set TARN_STORE to s3://bucket/prefix in the function's environment")]
    StoreNotNamed,
    /// Rules of AWS sources that cannot be used.
    #[error("{variable}: {detail}")]
    Rules {
        /// The setting that names them.
        variable: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A command that needs a store found none.
    #[error("there is no store at '{store}' (it has no tarn.json): name one with --store (or TARN_STORE)")]
    NoStore {
        /// Its URL, without secrets.
        store: String,
    },
    /// Compaction failed.
    #[error("compaction failed: {source}")]
    Compaction {
        /// Why.
        #[source]
        source: Box<compactor::CompactError>,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen (or TARN_LISTEN)")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error("the store '{store}' cannot be used: {source}; check --store (or TARN_STORE), and for s3:// the AWS_* variables")]
    Store {
        /// Its URL, without secrets.
        store: String,
        /// Why.
        #[source]
        source: Box<store::StoreError>,
    },
    /// A file or stream cannot be read or written.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, or what is wrong.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A command-line value that cannot be used.
    #[error("{flag} '{value}' is not {expected}")]
    Argument {
        /// Which.
        flag: &'static str,
        /// What it was set to.
        value: String,
        /// What would do.
        expected: String,
    },
    /// A price file that cannot be used.
    #[error("the price file {} is wrong: {problem}; 'tarn cost --prices-template' prints a right one", path.display())]
    Prices {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Metrics that a bill cannot be made of.
    #[error("the metrics of {from} cannot be used: {problem}; they must be those of a Tarn server that is at least as new as this command")]
    Metrics {
        /// Where they came from.
        from: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The server did not answer.
    #[error(
        "no answer from {url}: is a server running there? Start one with 'tarn serve', name another with --url (or TARN_URL), or read a store directly with --store"
    )]
    Unreachable {
        /// Which URL.
        url: String,
        /// Why.
        #[source]
        source: Box<reqwest::Error>,
    },
    /// The answer is an error.
    #[error("{message}{}", status_note(*status))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body.
        message: String,
    },
    /// A query that is not LogQL, with a caret below the place.
    #[error("the query cannot be read:\n{rendered}")]
    Query {
        /// The query with a caret.
        rendered: String,
    },
    /// The answer is not what Loki's API prescribes.
    #[error("{url} answered with something that is not a Loki answer ({what}): does the URL name a Loki or Tarn server?")]
    Answer {
        /// Which URL.
        url: String,
        /// What was tried, or what is wrong.
        what: String,
    },
    /// The server will not send any more lines.
    #[error("the tail was ended: {reason}")]
    TailEnded {
        /// What it said.
        reason: String,
    },
    /// Paging cannot go on.
    #[error(
        "more than {limit} entries share the timestamp {timestamp}, which is more than one answer may hold: narrow the query, or raise max_entries_limit_per_query"
    )]
    Paging {
        /// How many.
        limit: usize,
        /// Which, in ns.
        timestamp: i64,
    },
    /// Some lines are not stored.
    #[error("{failed} of {total} lines were not stored: {reason}")]
    Push {
        /// How many were not stored.
        failed: u64,
        /// Of how many.
        total: u64,
        /// Why.
        reason: String,
    },
}

/// What to try, for an error whose own text does not say it.
fn status_note(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => " (name a tenant with --tenant or TARN_TENANT, send a token with --token or TARN_TOKEN)",
        StatusCode::NOT_FOUND => " (the server lacks this route: is it a Tarn server, and does its --role include it?)",
        _ => "",
    }
}

impl TarnError {
    /// An I/O failure while doing `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Io { what: what.into(), source }
    }

    /// Whether the reader of standard output went away, as `head` does: then the command is done.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
