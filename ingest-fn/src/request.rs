//! The push request and its way from bytes to rows: content checks, decompression, decoding with validation.
//! Pure: no I/O, no clock. Must not know: how rows are stored, HTTP servers.

use bytes::Bytes;
use schema::{IngestLimits, RowBatch, TenantId, Timestamp};

use crate::content::{BodyFormat, read_body};
use crate::decode::{json, proto};
use crate::error::PushError;
use crate::reject::Rejections;
use crate::rows::RowWriter;

/// Which JSON a request speaks; protobuf is the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushFormat {
    /// `/loki/api/v1/push`.
    V1,
    /// `/api/prom/push`.
    Legacy,
}

/// A push as an HTTP server or a function's event hands it over.
#[derive(Clone, Debug)]
pub struct PushRequest<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<&'a str>,
    /// The `X-Loki-Backfill-Shard` header: marks every stream of the push as backfilled and lifts the age limit.
    pub backfill_shard: Option<&'a str>,
    /// Which route was called.
    pub format: PushFormat,
    /// The body as sent.
    pub body: Bytes,
    /// Whose rows these are; already checked by the adapter.
    pub tenant: TenantId,
}

/// The accepted rows of a push and what was refused of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Rows to store. May be empty: streams without entries are not an error.
    pub batch: RowBatch,
    /// What was refused; not empty means that the answer is 400 although `batch` is stored.
    pub rejected: Rejections,
    /// Accepted lines.
    pub lines: u64,
    /// Bytes of the accepted lines and of their structured metadata as sent (names and values), the bytes that Loki counts.
    pub bytes: u64,
}

/// Decodes and validates `request`. `now` is only used by the age limits.
/// Memory is bounded by [`IngestLimits::max_decompressed_bytes`] plus rows not larger than that. CPU only: a body of a
/// megabyte takes a few milliseconds, so an async caller runs this on a blocking thread.
pub fn decode_push(request: &PushRequest<'_>, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, PushError> {
    let (format, body) = read_body(request.content_type, request.content_encoding, &request.body, limits)?;
    let mut rows = RowWriter::new(limits, now, request.backfill_shard, body.len())?;
    match format {
        BodyFormat::Protobuf => proto::decode(&body, &mut rows)?,
        BodyFormat::Json => json::decode(&body, request.format, &mut rows)?,
    }
    rows.finish()
}
