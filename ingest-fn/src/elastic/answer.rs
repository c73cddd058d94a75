//! Answers in Elasticsearch's shapes: items of a bulk request, errors, `filter_path`.
//! Clients search the text of a bulk answer, so it is compact and `took`, `errors`, `items` come in this order.
//! Must not know: documents, routes.

use std::fmt::Write as _;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

use crate::error::PushError;
use crate::handler::PushResponse;
use crate::reject::shorten;

/// Official clients refuse to talk to a server whose answers lack it.
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// Why a document, or a whole request, was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// Elasticsearch's name of the kind.
    pub(super) kind: &'static str,
    pub(super) reason: String,
    /// Whether and when a retry makes sense.
    pub(super) retry_after: Option<u64>,
}

impl Fault {
    /// A fault of the data: a retry cannot cure it.
    pub(super) fn bad(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, reason: reason.into(), retry_after: None }
    }

    /// A document that is not JSON, or not what it has to be.
    pub(super) fn document(reason: impl Into<String>) -> Self {
        Self::bad("document_parsing_exception", reason)
    }
}

impl From<PushError> for Fault {
    fn from(error: PushError) -> Self {
        let status = error.status();
        let kind = match &error {
            PushError::TooLarge { .. } => "content_too_long_exception",
            PushError::Commit(_) => "unavailable_shards_exception",
            PushError::Malformed { .. } => "parse_exception",
            _ => "illegal_argument_exception",
        };
        Self { status, kind, reason: error.to_string(), retry_after: error.retry_after().map(|after| after.as_secs()) }
    }
}

/// The answer to a request that was refused before it was read, for example for its tenant or its size.
pub fn elastic_refusal(status: StatusCode, reason: &str) -> PushResponse {
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable_shards_exception",
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        _ => "illegal_argument_exception",
    };
    let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
    refusal(&Fault { status, kind, reason: reason.to_owned(), retry_after })
}

/// The answer of a request that was refused as a whole.
pub(super) fn refusal(fault: &Fault) -> PushResponse {
    let cause = json!({"type": fault.kind, "reason": fault.reason});
    let error = json!({"root_cause": [cause], "type": fault.kind, "reason": fault.reason});
    let mut response = json_answer(fault.status, json!({"error": error, "status": fault.status.as_u16()}).to_string());
    if let Some(seconds) = fault.retry_after {
        response.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
    }
    response
}

pub(super) fn json_answer(status: StatusCode, body: String) -> PushResponse {
    with_product(status, body, "application/json")
}

pub(super) fn text_answer(body: String) -> PushResponse {
    with_product(StatusCode::OK, body, "text/plain; charset=UTF-8")
}

fn with_product(status: StatusCode, body: String, content_type: &'static str) -> PushResponse {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type)), (PRODUCT, HeaderValue::from_static("Elasticsearch"))];
    PushResponse { status, body, headers }
}

/// The items of a bulk answer under construction, in the order of the actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    text: String,
    pub(super) errors: bool,
}

impl Items {
    pub(super) fn push(&mut self, action: &str, index: &str, id: &str, fault: Option<&Fault>) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        let _ = write!(self.text, r#"{{"{action}":{}}}"#, item(index, id, fault));
        self.errors |= fault.is_some();
    }

    /// The whole answer. `took` is in milliseconds.
    pub(super) fn finish(self, took: u128) -> String {
        format!(r#"{{"took":{took},"errors":{},"items":[{}]}}"#, self.errors, self.text)
    }
}

/// What became of one document.
fn item(index: &str, id: &str, fault: Option<&Fault>) -> String {
    match fault {
        None => format!(r#"{{{},"status":201}}"#, created(index, id)),
        Some(Fault { status, kind, reason, .. }) => {
            let error = json!({"type": kind, "reason": shorten(reason)});
            format!(r#"{{"_index":{},"_id":{},"status":{},"error":{error}}}"#, quoted(index), quoted(id), status.as_u16())
        }
    }
}

/// The members that tell of a new document.
pub(super) fn created(index: &str, id: &str) -> String {
    format!(
        r#""_index":{},"_id":{},"_version":1,"result":"created","_shards":{{"total":1,"successful":1,"failed":0}},"_seq_no":0,"_primary_term":1"#,
        quoted(index),
        quoted(id)
    )
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_answer_is_compact_and_in_order() {
        let mut items = Items::default();
        items.push("create", "i", "a", None);
        assert_eq!(
            items.clone().finish(3),
            r#"{"took":3,"errors":false,"items":[{"create":{"_index":"i","_id":"a","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"status":201}}]}"#
        );
        items.push("index", "i", "\"", Some(&Fault::document("no \"object\"")));
        let text = items.finish(0);
        let tail = r#",{"index":{"_index":"i","_id":"\"","status":400,"error":{"reason":"no \"object\"","type":"document_parsing_exception"}}}]}"#;
        assert!(text.starts_with(r#"{"took":0,"errors":true,"items":[{"create":"#) && text.ends_with(tail), "{text}");
    }

    #[test]
    fn a_refusal_says_what_elasticsearch_would() {
        let response = elastic_refusal(StatusCode::SERVICE_UNAVAILABLE, "not ready");
        assert_eq!(
            response.body,
            r#"{"error":{"reason":"not ready","root_cause":[{"reason":"not ready","type":"unavailable_shards_exception"}],"type":"unavailable_shards_exception"},"status":503}"#
        );
        assert!(response.headers.iter().any(|(name, value)| name == RETRY_AFTER && value == "1"));
        assert!(response.headers.iter().any(|(name, value)| name == PRODUCT && value == "Elasticsearch"));
    }
}
