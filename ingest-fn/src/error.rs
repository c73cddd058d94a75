//! What can go wrong with a push, in which words, and with which status: the one table that every adapter answers from.
//! The texts that Loki's clients know are Loki's. A fault that a retry cannot cure is a 4xx; everything else is a 503, which
//! every agent retries. No push is ever answered with 500: the OTLP exporters drop what got a 500.
//! Refusals of single entries while the rest is stored are in `reject`.

use std::time::Duration;

use http::StatusCode;
use schema::TenantId;
use schema::quote::quote;

/// Why no row of a push was stored.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Content type empty or not a media type.
    #[error("mime: no media type")]
    NoMediaType,
    /// A content encoding that is not known.
    #[error("Content-Encoding {} not supported", quote(encoding))]
    UnsupportedEncoding {
        /// The header's value.
        encoding: String,
    },
    /// An OTLP request in another media type.
    #[error("content type: {content_type} is not supported: only application/x-protobuf and application/json are")]
    UnsupportedType {
        /// The header's value.
        content_type: String,
    },
    /// An OTLP request in an encoding that is not known.
    #[error("unsupported content encoding {encoding}: only {supported} are supported")]
    UnsupportedOtlpEncoding {
        /// The header's value.
        encoding: String,
        /// Those that are.
        supported: &'static str,
    },
    /// A parameter of a push of lines that cannot be used.
    #[error("parameter {} {problem}", quote(name))]
    Parameter {
        /// Its name, or its text if that cannot be read.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line that cannot be used as its push says.
    #[error("line {number}: {detail}; nothing of this push was stored")]
    Line {
        /// Its number in the body, from 1.
        number: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// A push of lines without any.
    #[error("the body has no line to store")]
    NoLines,
    /// A size limit that protects the server's memory.
    #[error("request body too large: {part} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        part: BodyPart,
        /// The limit.
        limit: usize,
    },
    /// The body is not what its content type and encoding say.
    #[error("malformed {format}: {problem} at byte {offset}")]
    Malformed {
        /// `protobuf`, `JSON`, `snappy`, ...
        format: &'static str,
        /// What is wrong there.
        problem: &'static str,
        /// Where, in the (decompressed) body.
        offset: usize,
    },
    /// A compressed body that does not decompress.
    #[error("malformed {format}: {detail}")]
    Compression {
        /// `snappy`, `gzip`, ...
        format: &'static str,
        /// What the decompressor says.
        detail: String,
    },
    /// Stream labels that are not in Prometheus' grammar.
    #[error("couldn't parse labels: {detail}")]
    Labels {
        /// What is wrong, and where.
        detail: String,
    },
    /// A client may not set the labels that mark backfilled data.
    #[error(
        "streams must not contain the reserved labels __backfill__ or __backfill_shard__; set the X-Loki-Backfill-Shard header to mark a push as backfill data"
    )]
    ReservedLabels,
    /// `X-Loki-Backfill-Shard` longer than Loki takes.
    #[error("X-Loki-Backfill-Shard header is too long: limit {limit} bytes")]
    BackfillShardTooLong {
        /// The limit.
        limit: usize,
    },
    /// A structured metadata name without a letter or digit. Loki answers 500, which agents retry for ever; the fault is the data's.
    #[error("structured metadata name {} is invalid: it needs a letter or a digit", quote(name))]
    MetadataName {
        /// The name as sent.
        name: String,
    },
    /// A push without any stream.
    #[error("error at least one valid stream is required for ingestion")]
    NoStreams,
    /// Decoded, but not stored.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What a size limit was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPart {
    /// The body as it came over the wire.
    Compressed,
    /// The body once decompressed.
    Decompressed,
    /// The body once decompressed, with what its records share repeated for each of them.
    Repeated,
    /// The label text of one stream.
    StreamLabels,
}

impl std::fmt::Display for BodyPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Compressed => "the compressed body",
            Self::Decompressed => "the decompressed body",
            Self::Repeated => "the decompressed body with the attributes of resources and scopes repeated for each record",
            Self::StreamLabels => "the label text of one stream",
        })
    }
}

/// Why decoded rows were not acknowledged. All of these are worth a retry; rows that did reach the store after all are
/// recognised as duplicates of the retry when they are read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The store did not take the object that held this push.
    #[error("push not stored, retry it: writing the object failed: {detail}")]
    Store {
        /// The store's error with its causes. Text, since one failed object fails many pushes.
        detail: String,
    },
    /// The object was still being written when the time for an answer was over.
    #[error("push not confirmed, retry it: the store did not answer within {} ms", waited.as_millis())]
    Timeout {
        /// How long the push waited.
        waited: Duration,
    },
    /// Too many bytes wait to be written.
    #[error("push refused, retry it: {limit} bytes are already waiting to be written")]
    Overloaded {
        /// The bound on waiting bytes.
        limit: usize,
    },
    /// The tenant sends more than `ingestion_rate_mb`.
    #[error(
        "ingestion rate limit exceeded for user {tenant} (limit: {limit} bytes/sec) while attempting to ingest '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased"
    )]
    RateLimited {
        /// Whose push it was.
        tenant: TenantId,
        /// Bytes a second.
        limit: u64,
        /// Lines of the push.
        lines: usize,
        /// Their bytes.
        bytes: u64,
        /// Until it would be accepted.
        retry_after: Duration,
    },
    /// The process is about to end.
    #[error("push refused, retry it: the server is shutting down")]
    ShuttingDown,
    /// The task that wrote the object ended without a result.
    #[error("push not stored, retry it: the writer ended without a result")]
    Aborted,
}

impl PushError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoMediaType
            | Self::UnsupportedEncoding { .. }
            | Self::UnsupportedType { .. }
            | Self::UnsupportedOtlpEncoding { .. }
            | Self::Parameter { .. }
            | Self::Line { .. }
            | Self::Malformed { .. }
            | Self::Compression { .. }
            | Self::Labels { .. }
            | Self::ReservedLabels
            | Self::BackfillShardTooLong { .. }
            | Self::MetadataName { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoStreams | Self::NoLines => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Commit(error) => error.status(),
        }
    }

    /// Seconds after which a retry makes sense; `None` where a retry cannot help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Commit(CommitError::RateLimited { retry_after, .. }) => Some(Duration::from_secs(retry_after.as_secs().saturating_add(1))),
            Self::Commit(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl CommitError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
