//! A push from request parts to response parts: what the HTTP server and the function adapters share.
//! Owns: the order of admission, decoding, commit and answer. Must not know: any HTTP server.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};

use crate::commit::Ingester;
use crate::content::{estimate_decoded_bytes, estimate_encoded_bytes};
use crate::error::{CommitError, PushError};
use crate::reject::Rejections;
use crate::request::{Decoded, PushFormat, PushRequest, decode_push};

/// Bodies up to this size are decoded where they are; larger ones take long enough to be moved off the reactor.
pub(crate) const INLINE_BYTES: usize = 32 << 10;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResponse {
    /// The status; `204 No Content` on success.
    pub status: StatusCode,
    /// The body: empty on success, else Loki's text and a newline, as Go's `http.Error` writes it.
    pub body: String,
    /// Headers to set, the content type among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Decodes, validates and stores a push, and counts it. Returns once the rows are stored or refused.
/// Good rows are stored even when others of the same push are refused with 400.
pub async fn handle_push(ingester: &Ingester, request: PushRequest<'_>) -> PushResponse {
    let body_bytes = request.body.len();
    let response = match store(ingester, &request).await {
        Ok(stored) if stored.rejected.is_empty() => PushResponse { status: StatusCode::NO_CONTENT, body: String::new(), headers: Vec::new() },
        Ok(stored) => error_response(StatusCode::BAD_REQUEST, &stored.rejected.text()),
        Err(error) => {
            ingester.metrics().failed(&error, body_bytes);
            PushResponse::from(&error)
        }
    };
    ingester.metrics().answered(response.status, body_bytes);
    response
}

impl From<&PushError> for PushResponse {
    fn from(error: &PushError) -> Self {
        let mut response = error_response(error.status(), &error.to_string());
        if let Some(after) = error.retry_after() {
            response.headers.push((RETRY_AFTER, HeaderValue::from(after.as_secs())));
        }
        response
    }
}

/// What became of a push.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Lines that are durable.
    pub(crate) lines: u64,
    pub(crate) rejected: Rejections,
}

/// Decodes, validates and stores `request`.
pub(crate) async fn store(ingester: &Ingester, request: &PushRequest<'_>) -> Result<Stored, PushError> {
    let limits = &*ingester.limits_of(&request.tenant);
    let expected = match request.format {
        PushFormat::V1 | PushFormat::Legacy => estimate_decoded_bytes(request.content_type, request.content_encoding, &request.body, limits),
        PushFormat::Message | PushFormat::Otlp | PushFormat::Lines(_) => estimate_encoded_bytes(request.content_encoding, &request.body, limits),
    };
    let room = ingester.admit(expected).await?;
    let decoded = if expected <= INLINE_BYTES { decode_push(request, limits, ingester.env().now())? } else { decode_elsewhere(ingester, request).await? };
    let Decoded { batch, rejected, lines, bytes } = decoded;
    ingester.push_admitted(&request.tenant, batch, room).await?;
    ingester.metrics().received(lines, bytes, &rejected);
    Ok(Stored { lines, rejected })
}

async fn decode_elsewhere(ingester: &Ingester, request: &PushRequest<'_>) -> Result<Decoded, PushError> {
    let owned = |header: Option<&str>| header.map(str::to_owned);
    let content_type = owned(request.content_type);
    let content_encoding = owned(request.content_encoding);
    let backfill_shard = owned(request.backfill_shard);
    let (format, body, tenant) = (request.format.clone(), request.body.clone(), request.tenant.clone());
    let ingester = ingester.clone();
    let decode = move || {
        let request = PushRequest {
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            backfill_shard: backfill_shard.as_deref(),
            format,
            body,
            tenant,
        };
        decode_push(&request, &ingester.limits_of(&request.tenant), ingester.env().now())
    };
    match tokio::task::spawn_blocking(decode).await {
        Ok(result) => result,
        Err(_) => Err(PushError::Commit(CommitError::Aborted)),
    }
}

fn error_response(status: StatusCode, text: &str) -> PushResponse {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")), (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    PushResponse { status, body: format!("{text}\n"), headers }
}

#[cfg(test)]
mod tests;
