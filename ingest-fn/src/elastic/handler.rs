//! A request of Elasticsearch's API from its parts to its answer: what the HTTP server and the function adapters share.
//! Owns: the order of admission, decoding, commit and answer. Must not know: any HTTP server.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use schema::{IngestLimits, TenantId, Timestamp};

use super::answer::{Fault, created, json_answer, refusal};
use super::bulk::{self, decode_one, new_id};
use super::document::Address;
use super::route::{self, Route};
use super::settings::ElasticSettings;
use super::{filter_path, handshake};
use crate::commit::Ingester;
use crate::content::estimate_decoded_bytes;
use crate::decode::inflate::{Encoding, decompress};
use crate::error::{BodyPart, CommitError, PushError};
use crate::handler::{INLINE_BYTES, PushResponse};
use crate::reject::DiscardReason;
use crate::request::Decoded;

/// A request as an HTTP server or a function's event hands it over.
#[derive(Clone, Debug)]
pub struct ElasticRequest {
    /// The method.
    pub method: Method,
    /// The path, with or without [`super::PREFIX`].
    pub path: String,
    /// What follows the `?`.
    pub query: String,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<String>,
    /// The body as sent.
    pub body: Bytes,
    /// Whose documents these are; already checked by the adapter.
    pub tenant: TenantId,
}

/// What a request wrote, before it is stored.
enum Written {
    Bulk(bulk::BulkDecoded),
    One { decoded: Decoded, answer: String },
}

/// Answers a request. Documents are decoded, stored as one object and counted; the answer comes once they are durable or refused.
pub async fn handle_elastic(ingester: &Ingester, settings: &Arc<ElasticSettings>, request: ElasticRequest) -> PushResponse {
    let started = ingester.env().monotonic();
    let query = request.query.clone();
    let mut response = match route::of(&request.method, &request.path) {
        Route::Question(segments) => handshake::answer(&request.method, &segments, ingester.env().now()),
        Route::Monitoring => handshake::monitoring(),
        Route::Bulk { .. } | Route::Document { .. } => write(ingester, settings, request, started).await,
    };
    if response.status.is_success() {
        response.body = filter_path::apply(response.body, &query);
    }
    response
}

async fn write(ingester: &Ingester, settings: &Arc<ElasticSettings>, request: ElasticRequest, started: Duration) -> PushResponse {
    let body_bytes = request.body.len();
    let response = match store(ingester, settings, request).await {
        Ok(Written::Bulk(bulk)) => {
            let took = ingester.env().monotonic().saturating_sub(started).as_millis();
            json_answer(StatusCode::OK, bulk.answer(took))
        }
        Ok(Written::One { answer, .. }) => json_answer(StatusCode::CREATED, answer),
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

/// Decodes and stores; what was refused by limits alone is counted too.
async fn store(ingester: &Ingester, settings: &Arc<ElasticSettings>, request: ElasticRequest) -> Result<Written, Fault> {
    let limits = &*ingester.limits_of(&request.tenant);
    let expected = estimate_decoded_bytes(Some("application/json"), request.content_encoding.as_deref(), &request.body, limits);
    let room = ingester.admit(expected).await.map_err(PushError::from)?;
    let tenant = request.tenant.clone();
    let now = ingester.env().now();
    let mut written = if expected <= INLINE_BYTES {
        decode(&request, settings, limits, now)?
    } else {
        let (settings, ingester) = (Arc::clone(settings), ingester.clone());
        let decoded = tokio::task::spawn_blocking(move || decode(&request, &settings, &ingester.limits_of(&request.tenant), now)).await;
        decoded.map_err(|_| PushError::from(CommitError::Aborted))??
    };
    let decoded = match &mut written {
        Written::Bulk(bulk) => &mut bulk.decoded,
        Written::One { decoded, .. } => decoded,
    };
    let batch = std::mem::take(&mut decoded.batch);
    ingester.push_admitted(&tenant, batch, room).await.map_err(PushError::from)?;
    ingester.metrics().received(decoded.lines, decoded.bytes, &decoded.rejected);
    Ok(written)
}

fn decode(request: &ElasticRequest, settings: &ElasticSettings, limits: &IngestLimits, now: Timestamp) -> Result<Written, Fault> {
    let body = read_body(request, limits)?;
    match route::of(&request.method, &request.path) {
        Route::Document { index, id, .. } => {
            let (index, id) = (unescaped(index), id.map(unescaped));
            let decoded = decode_one(&body, Address { index: &index, id: id.as_deref() }, settings, limits, now)?;
            let id = id.map_or_else(|| new_id(&body, 0, now), Cow::into_owned);
            Ok(Written::One { decoded, answer: format!("{{{}}}", created(&index, &id)) })
        }
        Route::Bulk { index } => {
            let index = index.map(unescaped);
            bulk::decode(&body, index.as_deref(), settings, limits, now).map(Written::Bulk)
        }
        Route::Monitoring | Route::Question(_) => Err(Fault::bad("illegal_argument_exception", "no documents are expected here")),
    }
}

fn read_body<'b>(request: &'b ElasticRequest, limits: &IngestLimits) -> Result<Cow<'b, [u8]>, PushError> {
    if request.body.len() > limits.max_body_bytes {
        return Err(PushError::TooLarge { part: BodyPart::Compressed, limit: limits.max_body_bytes });
    }
    let encoding = request.content_encoding.as_deref().unwrap_or_default().trim();
    match Encoding::of(encoding) {
        Some(kind) => Ok(Cow::Owned(decompress(kind, &request.body, limits.max_decompressed_bytes)?)),
        None if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") => Ok(Cow::Borrowed(&request.body)),
        None => Err(PushError::UnsupportedEncoding { encoding: encoding.to_owned() }),
    }
}

/// A segment of a path without its percent escapes; one that is not UTF-8 then stays as it is.
fn unescaped(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(segment), Cow::Owned)
}

#[cfg(test)]
mod tests;
