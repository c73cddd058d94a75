//! Responses: what status, headers and body an outcome becomes.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use super::ApiResponse;
use crate::QueryError;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

impl ApiResponse {
    /// 200 with a JSON body.
    pub(super) fn json(body: Vec<u8>) -> Self {
        Self::json_with(StatusCode::OK, body)
    }

    /// 200 with `body` as JSON, its members in the order in which the type declares them, and the newline of Loki's encoder.
    pub(super) fn of(body: &impl Serialize) -> Result<Self, QueryError> {
        let mut text = serde_json::to_vec(body).map_err(|error| QueryError::Internal { invariant: format!("an answer can be written as JSON: {error}") })?;
        text.push(b'\n');
        Ok(Self::json(text))
    }

    /// A JSON body with any status.
    pub(super) fn json_with(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, headers: one_header(header::CONTENT_TYPE, JSON), body: Bytes::from(body) }
    }

    /// The bare message, as Loki answers errors: no JSON, no newline.
    pub(super) fn error(error: &QueryError) -> Self {
        let mut headers = one_header(header::CONTENT_TYPE, TEXT);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        if error.status() == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Self { status: error.status(), headers, body: Bytes::from(error.to_string()) }
    }

    /// A refusal as Go's `http.Error` writes it: the message and a newline.
    pub(super) fn refused(status: StatusCode, message: &str) -> Self {
        let mut headers = one_header(header::CONTENT_TYPE, TEXT);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        Self { status, headers, body: Bytes::from(format!("{message}\n")) }
    }

    /// 204: done, nothing to say.
    pub(super) fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// 405 without a body.
    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let headers = HeaderValue::from_str(&allowed.join(", ")).map_or_else(|_| HeaderMap::new(), |allowed| one_header(header::ALLOW, allowed));
        Self { status: StatusCode::METHOD_NOT_ALLOWED, headers, body: Bytes::new() }
    }

    /// 301 to the same request at another path.
    pub(super) fn moved(path: &str, query: &str) -> Self {
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let headers = HeaderValue::from_str(&target).map_or_else(|_| HeaderMap::new(), |target| one_header(header::LOCATION, target));
        Self { status: StatusCode::MOVED_PERMANENTLY, headers, body: Bytes::new() }
    }
}

fn one_header(name: HeaderName, value: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(name, value);
    headers
}
