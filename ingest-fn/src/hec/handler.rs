//! A request to the collector from its parts to its answer: what the HTTP server and the function adapters share.
//! Owns: the order of admission, decoding, commit and answer. Must not know: any HTTP server.

use bytes::Bytes;
use http::StatusCode;
use schema::quote::quote;
use schema::{IngestLimits, TenantId, Timestamp};

use super::answer::{Code, Fault, refusal, success};
use super::event::{self, Defaults, LABELS, time_of};
use crate::commit::Ingester;
use crate::content::{estimate_encoded_bytes, read_plain_body};
use crate::decode::lines::{self, LineOptions, unescape};
use crate::error::{CommitError, PushError};
use crate::handler::{INLINE_BYTES, PushResponse};
use crate::reject::DiscardReason;
use crate::request::Decoded;
use crate::rows::RowWriter;

/// A request as an HTTP server or a function's event hands it over.
#[derive(Clone, Debug)]
pub struct HecRequest {
    /// Whether the body is lines (`/services/collector/raw`); else it is events.
    pub is_raw: bool,
    /// What follows the `?`.
    pub query: String,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<String>,
    /// The body as sent.
    pub body: Bytes,
    /// Whose events these are; already checked by the adapter.
    pub tenant: TenantId,
}

/// Decodes, validates and stores events, and counts them. Returns once they are durable or refused: one that cannot be read refuses all of them, one that breaks a limit
/// is refused alone, though the answer is 400 then too.
pub async fn handle_hec(ingester: &Ingester, request: HecRequest) -> PushResponse {
    let body_bytes = request.body.len();
    let response = match store(ingester, request).await {
        Ok(()) => success(),
        Err(fault) => {
            if fault.status == StatusCode::PAYLOAD_TOO_LARGE {
                ingester.metrics().discard(DiscardReason::RequestBodyTooLarge, 1, u64::try_from(body_bytes).unwrap_or(u64::MAX));
            }
            refusal(&fault)
        }
    };
    ingester.metrics().answered(response.status, body_bytes);
    response
}

async fn store(ingester: &Ingester, request: HecRequest) -> Result<(), Fault> {
    let limits = &*ingester.limits_of(&request.tenant);
    let expected = estimate_encoded_bytes(request.content_encoding.as_deref(), &request.body, limits);
    let room = ingester.admit(expected).await.map_err(PushError::from)?;
    let (tenant, now) = (request.tenant.clone(), ingester.env().now());
    let decoded = if expected <= INLINE_BYTES {
        decode(&request, limits, now)?
    } else {
        let ingester = ingester.clone();
        let decoded = tokio::task::spawn_blocking(move || decode(&request, &ingester.limits_of(&request.tenant), now)).await;
        decoded.map_err(|_| PushError::from(CommitError::Aborted))??
    };
    ingester.push_admitted(&tenant, decoded.batch, room).await.map_err(PushError::from)?;
    ingester.metrics().received(decoded.lines, decoded.bytes, &decoded.rejected);
    if decoded.rejected.is_empty() { Ok(()) } else { Err(Fault::bad(Code::InvalidFormat, decoded.rejected.text())) }
}

/// Decodes and validates a request: the first half of [`handle_hec`], without its answer. Errors: why nothing of it can be stored.
pub fn decode_hec(request: &HecRequest, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, String> {
    decode(request, limits, now).map_err(|fault| fault.text)
}

pub(super) fn decode(request: &HecRequest, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, Fault> {
    let defaults = defaults_of(&request.query)?;
    let body = read_plain_body(request.content_encoding.as_deref(), &request.body, limits)?;
    let mut rows = RowWriter::new(limits, now, None, body.len())?;
    if request.is_raw {
        let labels = LABELS.iter().zip(&defaults.labels).filter_map(|(name, value)| Some(format!("{name}={}", quote(value.as_deref()?))));
        let options = LineOptions::of_stream(labels.collect::<Vec<_>>().join(","));
        lines::decode(&body, &options, defaults.time.map_or(now, Timestamp), &mut rows)?;
    } else {
        event::decode(&body, &defaults, now, &mut rows)?;
    }
    Ok(rows.finish()?)
}

/// Parameters that are not ours, such as `channel`, are passed over, as Splunk does.
fn defaults_of(query: &str) -> Result<Defaults, Fault> {
    let mut defaults = Defaults::default();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if let Some(slot) = LABELS.iter().position(|label| *label == name).and_then(|index| defaults.labels.get_mut(index)) {
            *slot = Some(unescape(value)?).filter(|value| !value.is_empty());
        } else if name == "time" {
            let text = unescape(value)?;
            let wrong = || Fault::bad(Code::InvalidFormat, "Invalid data format: the parameter time is no number of seconds");
            defaults.time = Some(time_of(text.as_bytes()).ok_or_else(wrong)?);
        }
    }
    Ok(defaults)
}
