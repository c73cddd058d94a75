//! The answers that OpenTelemetry's exporters read: from request parts to an HTTP response.
//! Stored: 204. Some records refused: 200 that says how many and why, which exporters log and do not repeat. All refused: 400.
//! Errors are a `google.rpc.Status { 2: message }`, in JSON for requests in JSON. Exporters repeat 429, 502, 503 and 504 only, so what a retry can cure is
//! 503. Must not know: any HTTP server.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use serde_json::json;

use crate::commit::Ingester;
use crate::content::{BodyFormat, otlp_format};
use crate::error::PushError;
use crate::handler::store;
use crate::request::PushRequest;

/// What became of a request, before anybody's answer is made of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of it is durable.
    Stored,
    /// Some records were refused, the others are durable.
    Partly {
        rejected: u64,
        message: String,
    },
    /// No record could be stored, and none ever can.
    AllRefused {
        message: String,
    },
    Failed(PushError),
}

/// Decodes, validates and stores a request in [`crate::PushFormat::Otlp`], and counts it. Returns once the records are stored or refused.
pub async fn handle_otlp(ingester: &Ingester, request: PushRequest<'_>) -> Response<Bytes> {
    let body_bytes = request.body.len();
    let content_type = request.content_type;
    let response = match store_otlp(ingester, &request).await {
        Outcome::Stored => answer(StatusCode::NO_CONTENT, None, Bytes::new()),
        Outcome::Partly { rejected, message } => partial(content_type, rejected, &message),
        Outcome::AllRefused { message } => otlp_refusal(StatusCode::BAD_REQUEST, content_type, &message),
        Outcome::Failed(error) => otlp_refusal(error.status(), content_type, &error.to_string()),
    };
    ingester.metrics().answered(response.status(), body_bytes);
    response
}

/// As [`handle_otlp`], without an answer.
pub(crate) async fn store_otlp(ingester: &Ingester, request: &PushRequest<'_>) -> Outcome {
    match store(ingester, request).await {
        Ok(stored) if stored.rejected.is_empty() => Outcome::Stored,
        Ok(stored) if stored.lines == 0 => Outcome::AllRefused { message: stored.rejected.text() },
        Ok(stored) => Outcome::Partly { rejected: stored.rejected.lines(), message: stored.rejected.text() },
        Err(error) => {
            ingester.metrics().failed(&error, request.body.len());
            Outcome::Failed(error)
        }
    }
}

/// A request that was refused with `status`, for a reason of the adapter or ours. A status that a retry can cure becomes one that exporters retry.
pub fn otlp_refusal(status: StatusCode, content_type: Option<&str>, message: &str) -> Response<Bytes> {
    let again = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    let status = if again { StatusCode::SERVICE_UNAVAILABLE } else { status };
    let body = match otlp_format(content_type) {
        Some(BodyFormat::Json) => json!({ "message": message }).to_string().into(),
        _ => field(2, message.as_bytes()).into(),
    };
    let mut response = answer(status, Some(content_type), body);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if again || status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn partial(content_type: Option<&str>, rejected: u64, message: &str) -> Response<Bytes> {
    let body = match otlp_format(content_type) {
        Some(BodyFormat::Json) => json!({ "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": message } }).to_string().into(),
        _ => partial_message(rejected, message),
    };
    answer(StatusCode::OK, Some(content_type), body)
}

/// `ExportLogsServiceResponse { 1: ExportLogsPartialSuccess { 1: rejected_log_records, 2: error_message } }`
pub(crate) fn partial_message(rejected: u64, message: &str) -> Bytes {
    let mut inner = vec![1 << 3];
    varint(rejected, &mut inner);
    inner.extend(field(2, message.as_bytes()));
    field(1, &inner).into()
}

/// A response; one with a body is in the format of the request.
fn answer(status: StatusCode, content_type: Option<Option<&str>>, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(request_type) = content_type {
        let media_type = if otlp_format(request_type) == Some(BodyFormat::Json) { "application/json" } else { "application/x-protobuf" };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response
}

/// A length-delimited field; `number` is below 16.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(u64::try_from(content.len()).unwrap_or(u64::MAX), &mut out);
    out.extend_from_slice(content);
    out
}

fn varint(value: u64, out: &mut Vec<u8>) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
