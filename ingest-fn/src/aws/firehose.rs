//! Firehose's delivery to an HTTP endpoint: `POST /aws/firehose`. Firehose takes exactly status 200 with its request id for success, repeats
//! everything else for as long as its stream says, and then puts the request into the backup bucket: nothing is lost.
//! Must not know: the HTTP server, which access keys there are.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use schema::labels::is_label_name;
use schema::{IngestLimits, TenantId, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::batch::store;
use super::decode::{Inline, InlineWriter};
use super::error::AwsError;
use super::event::{Payload, base64, of_bytes};
use super::settings::Settings;
use super::source::{LogType, Source};
use super::time;
use crate::commit::Ingester;
use crate::decode::inflate::{Encoding, decompress};
use crate::error::{BodyPart, CommitError, PushError};
use crate::handler::PushResponse;

/// Firehose cuts longer messages off.
const MAX_MESSAGE_CHARS: usize = 8192;
/// Common attributes of these names become labels, without the prefix: Grafana's agents have the same rule.
const LABEL_PREFIX: &str = "lbl_";

/// A request as an HTTP server or a function's event hands it over.
#[derive(Clone, Debug)]
pub struct FirehoseRequest {
    /// The `X-Amz-Firehose-Request-Id` header: the same for every attempt.
    pub request_id: Option<String>,
    /// The `X-Amz-Firehose-Source-Arn` header.
    pub source_arn: Option<String>,
    /// The `X-Amz-Firehose-Common-Attributes` header.
    pub common_attributes: Option<String>,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<String>,
    /// The body as sent.
    pub body: Bytes,
    /// Whose rows these are; the adapter has checked the access key.
    pub tenant: TenantId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    request_id: Option<String>,
    timestamp: Option<i64>,
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommonAttributes {
    common_attributes: std::collections::BTreeMap<String, serde_json::Value>,
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Body(PushError),
    #[error("the body is not a Firehose request: {0}")]
    Json(String),
    #[error("the request has no id: the header X-Amz-Firehose-Request-Id and the body's requestId are missing")]
    NoRequestId,
    #[error("the header X-Amz-Firehose-Request-Id and the body's requestId differ")]
    RequestIds,
    #[error("the header X-Amz-Firehose-Common-Attributes is not {{\"commonAttributes\":{{...}}}}: {0}")]
    CommonAttributes(String),
    /// The good records are stored; the backup bucket gets the whole request.
    #[error("{count} of {records} records cannot be read; record {index}: {error}")]
    Records { count: usize, records: usize, index: usize, error: AwsError },
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(error) => error.status(),
            Self::Commit(error) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Decodes and stores a request and counts it. Answered once all its rows are durable.
pub async fn handle_firehose(ingester: &Ingester, settings: &Settings, request: FirehoseRequest) -> PushResponse {
    let body_bytes = request.body.len();
    let mut request_id = request.request_id.clone();
    let result = take(ingester, settings, request, &mut request_id).await;
    let now = ingester.env().now();
    let id = request_id.unwrap_or_default();
    let response = match result {
        Ok(()) => answer(StatusCode::OK, &id, now, None),
        Err(refusal) => {
            if let Refusal::Body(error) = &refusal {
                ingester.metrics().failed(error, body_bytes);
            }
            answer(refusal.status(), &id, now, Some(&refusal.to_string()))
        }
    };
    ingester.metrics().answered(response.status, body_bytes);
    response
}

/// The answer to a request that was not even looked at, for example for its access key.
pub fn firehose_refusal(status: StatusCode, request_id: Option<&str>, now: Timestamp, message: &str) -> PushResponse {
    answer(status, request_id.unwrap_or_default(), now, Some(message))
}

/// Whether `presented` (`X-Amz-Firehose-Access-Key`) is `expected`. The time it takes tells nothing but the lengths.
pub fn access_key_matches(presented: Option<&str>, expected: &str) -> bool {
    let presented = presented.unwrap_or_default().as_bytes();
    if presented.len() != expected.len() {
        return false;
    }
    let difference = presented.iter().zip(expected.as_bytes()).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    std::hint::black_box(difference) == 0
}

async fn take(ingester: &Ingester, settings: &Settings, request: FirehoseRequest, request_id: &mut Option<String>) -> Result<(), Refusal> {
    let settings = Settings { tenant: request.tenant.clone(), limits: IngestLimits::clone(&ingester.limits_of(&request.tenant)), ..settings.clone() };
    let now = ingester.env().now();
    let decoded = tokio::task::spawn_blocking(move || decode(&settings, &request, now)).await;
    let (id, decoded) = decoded.map_err(|_| CommitError::Aborted)?;
    *request_id = id.or_else(|| request_id.take());
    let (records, Inline { batches, failures, report: _ }) = decoded?;
    for batch in batches {
        let rejected = store(ingester, batch).await?;
        if !rejected.is_empty() {
            tracing::warn!(lines = rejected.lines(), reason = rejected.text(), "lines of a Firehose request were refused");
        }
    }
    let count = failures.len();
    match failures.into_iter().next() {
        Some((index, error)) => Err(Refusal::Records { count, records, index, error }),
        None => Ok(()),
    }
}

/// The request's id as far as it is known, and its number of records with their lines.
type Decoded = (Option<String>, Result<(usize, Inline), Refusal>);

fn decode(settings: &Settings, request: &FirehoseRequest, now: Timestamp) -> Decoded {
    let body = match read_body(settings, request) {
        Ok(body) => body,
        Err(refusal) => return (None, Err(refusal)),
    };
    let id = match (request.request_id.as_deref().filter(|id| !id.is_empty()), body.request_id.as_deref()) {
        (Some(header), Some(inside)) if header != inside => return (None, Err(Refusal::RequestIds)),
        (Some(id), _) | (None, Some(id)) => id.to_owned(),
        (None, None) => return (None, Err(Refusal::NoRequestId)),
    };
    let lines = decode_records(settings, request, &body, &id, now);
    (Some(id), lines.map(|lines| (body.records.len(), lines)))
}

fn read_body(settings: &Settings, request: &FirehoseRequest) -> Result<Body, Refusal> {
    let limits = &settings.limits;
    if request.body.len() > limits.max_body_bytes {
        return Err(Refusal::Body(PushError::TooLarge { part: BodyPart::Compressed, limit: limits.max_body_bytes }));
    }
    let encoding = request.content_encoding.as_deref().unwrap_or_default().trim();
    let expanded;
    let json: &[u8] = match Encoding::of(encoding) {
        Some(kind) => {
            expanded = decompress(kind, &request.body, limits.max_decompressed_bytes).map_err(Refusal::Body)?;
            &expanded
        }
        None if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") => &request.body,
        None => return Err(Refusal::Body(PushError::UnsupportedEncoding { encoding: encoding.to_owned() })),
    };
    serde_json::from_slice(json).map_err(|error| Refusal::Json(error.to_string()))
}

fn decode_records(settings: &Settings, request: &FirehoseRequest, body: &Body, id: &str, now: Timestamp) -> Result<Inline, Refusal> {
    let mut source = Source::new(LogType::Firehose).with_arn(request.source_arn.as_deref().unwrap_or_default(), "stream");
    source.extra = common_labels(request.common_attributes.as_deref())?;
    let mut writer = InlineWriter::new(settings, now);
    for (index, record) in body.records.iter().enumerate() {
        let data = base64(&record.data, &format!("records[{index}].data"));
        let content = data.and_then(|data| {
            let metadata = vec![("firehose_request_id", id.to_owned())];
            of_bytes(Payload { source: source.clone(), received: body.timestamp.and_then(time::epoch), metadata, data })
        });
        if let Err(error) = content.and_then(|content| writer.content(index, &content)) {
            writer.fail(index, error);
        }
    }
    Ok(writer.finish())
}

/// Labels from the attributes that the stream's owner has set.
fn common_labels(header: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else { return Ok(Vec::new()) };
    let attributes: CommonAttributes = serde_json::from_str(header).map_err(|error| Refusal::CommonAttributes(error.to_string()))?;
    let named = attributes.common_attributes.into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(LABEL_PREFIX).filter(|name| is_label_name(name))?;
        Some((name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    });
    Ok(named.collect())
}

fn answer(status: StatusCode, request_id: &str, now: Timestamp, error: Option<&str>) -> PushResponse {
    let millis = now.as_nanos().div_euclid(1_000_000);
    let body = match error {
        None => json!({ "requestId": request_id, "timestamp": millis }),
        Some(message) => {
            let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
            json!({ "requestId": request_id, "timestamp": millis, "errorMessage": message })
        }
    };
    PushResponse { status, body: body.to_string(), headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))] }
}

#[cfg(test)]
mod tests;
