//! The push request and its way from bytes to rows: content checks, decompression, decoding with validation.
//! Pure: no I/O, no clock. Must not know: how rows are stored, HTTP servers.

use bytes::Bytes;
use schema::{IngestLimits, RowBatch, TenantId, Timestamp};

use crate::content::{BodyFormat, read_body, read_otlp_body, read_plain_body};
use crate::decode::lines::{self, LineOptions};
use crate::decode::{json, otlp, proto};
use crate::error::PushError;
use crate::reject::Rejections;
use crate::rows::RowWriter;

/// What a request speaks, by its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushFormat {
    /// `/loki/api/v1/push`.
    V1,
    /// `/api/prom/push`: another JSON, the same protobuf.
    Legacy,
    /// gRPC's `logproto.Pusher/Push`: the same protobuf as [`Self::V1`] without its snappy block; the content type is not looked at.
    Message,
    /// `/otlp/v1/logs`: OpenTelemetry's protobuf or JSON.
    Otlp,
    /// `/tarn/api/v1/push`: lines of text or JSON.
    Lines(LineOptions),
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

/// Decodes and validates `request`. `now` is for the age limits and for entries without a time.
/// Memory is bounded by [`IngestLimits::max_decompressed_bytes`] plus rows not larger than that. CPU only: a body of a
/// megabyte takes a few milliseconds, so an async caller runs this on a blocking thread.
pub fn decode_push(request: &PushRequest<'_>, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, PushError> {
    let (content_type, encoding, sent) = (request.content_type, request.content_encoding, &request.body);
    let rows_for = |body: &[u8]| RowWriter::new(limits, now, request.backfill_shard, body.len());
    match &request.format {
        PushFormat::V1 | PushFormat::Legacy => {
            let (format, body) = read_body(content_type, encoding, sent, limits)?;
            let mut rows = rows_for(&body)?;
            let form = if request.format == PushFormat::Legacy { json::Form::Legacy } else { json::Form::V1 };
            match format {
                BodyFormat::Protobuf => proto::decode(&body, &mut rows)?,
                BodyFormat::Json => json::decode(&body, form, &mut rows)?,
            }
            rows.finish()
        }
        PushFormat::Message => {
            let body = read_plain_body(encoding, sent, limits)?;
            let mut rows = rows_for(&body)?;
            proto::decode(&body, &mut rows)?;
            rows.finish()
        }
        PushFormat::Otlp => {
            let (format, body) = read_otlp_body(content_type, encoding, sent, limits)?;
            let mut rows = rows_for(&body)?;
            match format {
                BodyFormat::Protobuf => otlp::decode_proto(&body, now, &mut rows)?,
                BodyFormat::Json => otlp::decode_json(&body, now, &mut rows)?,
            }
            rows.finish()
        }
        PushFormat::Lines(options) => {
            let body = read_plain_body(encoding, sent, limits)?;
            let mut rows = rows_for(&body)?;
            lines::decode(&body, options, now, &mut rows)?;
            rows.finish()
        }
    }
}
