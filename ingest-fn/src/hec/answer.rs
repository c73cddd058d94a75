//! The collector's answers: `{"text": ..., "code": ...}` with Splunk's numbers.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::json;

use crate::error::PushError;
use crate::handler::PushResponse;

/// Splunk's numbers of what can become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    Success = 0,
    TokenRequired = 2,
    InvalidToken = 4,
    NoData = 5,
    InvalidFormat = 6,
    Busy = 9,
    EventRequired = 12,
    EventBlank = 13,
    NoAcknowledgements = 14,
    IndexedFields = 15,
    Healthy = 17,
    Unhealthy = 18,
    TooLarge = 27,
}

/// Why a request was not taken, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) text: String,
    /// Which event, from 0.
    pub(super) event: Option<usize>,
    /// Seconds after which a retry makes sense.
    pub(super) retry_after: Option<u64>,
}

impl Fault {
    /// A fault of the data: a retry cannot cure it.
    pub(super) fn bad(code: Code, text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, text: text.into(), event: None, retry_after: None }
    }

    pub(super) fn of_event(self, number: usize) -> Self {
        Self { event: Some(number), ..self }
    }
}

impl From<PushError> for Fault {
    fn from(error: PushError) -> Self {
        let code = match &error {
            PushError::TooLarge { .. } => Code::TooLarge,
            PushError::Commit(_) => Code::Busy,
            PushError::NoStreams | PushError::NoLines => Code::NoData,
            _ => Code::InvalidFormat,
        };
        // Clients take 400 for what it is; Splunk has no 422.
        let status = if code == Code::NoData { StatusCode::BAD_REQUEST } else { error.status() };
        Self { status, code, text: error.to_string(), event: None, retry_after: error.retry_after().map(|after| after.as_secs()) }
    }
}

/// The answer to a request that was refused before it was read, for example for its token or its size.
pub fn hec_refusal(status: StatusCode, has_token: bool, text: &str) -> PushResponse {
    let code = match status {
        StatusCode::UNAUTHORIZED if !has_token => Code::TokenRequired,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::InvalidToken,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        status if status.is_server_error() => Code::Busy,
        _ => Code::InvalidFormat,
    };
    refusal(&Fault { status, code, text: text.to_owned(), event: None, retry_after: status.is_server_error().then_some(1) })
}

/// What load balancers and clients ask before they send; `problem` is why nothing can be taken.
pub fn hec_health(problem: Option<&str>) -> PushResponse {
    match problem {
        None => told(StatusCode::OK, Code::Healthy, "HEC is healthy", None),
        Some(problem) => told(StatusCode::SERVICE_UNAVAILABLE, Code::Unhealthy, &format!("HEC is unhealthy: {problem}"), None),
    }
}

/// The answer to clients that ask whether what they sent is indexed: what was answered with success is, so they need not ask.
pub fn hec_no_acknowledgements() -> PushResponse {
    refusal(&Fault::bad(Code::NoAcknowledgements, "ACK is disabled"))
}

pub(super) fn success() -> PushResponse {
    told(StatusCode::OK, Code::Success, "Success", None)
}

pub(super) fn refusal(fault: &Fault) -> PushResponse {
    let mut response = told(fault.status, fault.code, &fault.text, fault.event);
    if let Some(seconds) = fault.retry_after {
        response.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
    }
    response
}

fn told(status: StatusCode, code: Code, text: &str, event: Option<usize>) -> PushResponse {
    let number = code as u8;
    let body = match event {
        None => format!("{{\"text\":{},\"code\":{number}}}", json!(text)),
        Some(event) => format!("{{\"text\":{},\"code\":{number},\"invalid-event-number\":{event}}}", json!(text)),
    };
    PushResponse { status, body, headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))] }
}
