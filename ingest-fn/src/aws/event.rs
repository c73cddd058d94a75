//! Tells events apart by their JSON and takes them to pieces: a list of items that succeed or fail one by one.
//! Owns: the shapes of AWS events, one inside the other (SQS around SNS around S3). Each record is looked at, not only the first.
//! Must not know: what lines are in a payload, rules, how an object is fetched.

mod aggregated;
mod content;
mod object_ref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

pub(super) use self::content::{Content, Payload, of_bytes};
pub use self::object_ref::ObjectRef;
use super::error::{AwsError, quoted};
use super::source::{LogType, Source};
use super::time;

/// One invocation's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who sent it.
    pub kind: EventKind,
    /// Its records in order; none for HTTP requests and events without data.
    pub items: Vec<Item>,
    /// Whether later items must fail when one failed: Kinesis and FIFO queues.
    pub(super) ordered: bool,
}

/// Who sent an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An HTTP request, for the router.
    Http(HttpFront),
    /// CloudWatch Logs subscription.
    CloudWatch,
    /// Kinesis data stream.
    Kinesis,
    /// Firehose, which wants its records back.
    FirehoseTransform,
    /// SQS queue.
    Sqs,
    /// SNS topic.
    Sns,
    /// S3 notification.
    S3,
    /// What S3 sends when notifications are set up.
    S3Test,
    /// EventBridge: an object was created in S3. Other events about S3 objects come as this too, without items' objects.
    ObjectCreated,
    /// EventBridge: a schedule.
    Scheduled,
}

/// Which HTTP front end sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFront {
    /// Function URL (payload 2.0).
    FunctionUrl,
    /// API Gateway HTTP API with payload 2.0.
    HttpApi,
    /// API Gateway REST API, or an HTTP API with payload 1.0.
    RestApi,
    /// Application Load Balancer.
    LoadBalancer,
}

/// One record of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What an answer calls it: SQS message id, Kinesis sequence number, Firehose record id. Empty where there is no answer by item.
    pub id: String,
    /// What it carries, or why that cannot be read.
    pub(super) content: Result<Content, AwsError>,
    /// Its data as it came, base64: Firehose wants it back.
    pub(super) data: Option<String>,
}

impl Item {
    fn new(id: impl Into<String>, content: Result<Content, AwsError>) -> Self {
        Self { id: id.into(), content, data: None }
    }

    /// The S3 objects that this record names.
    pub fn objects(&self) -> &[ObjectRef] {
        match &self.content {
            Ok(Content::Objects(objects)) => objects,
            _ => &[],
        }
    }
}

impl Event {
    /// Reads an event. A record that cannot be read fails alone, later; an event of an unknown shape is an error, so that it is retried
    /// and ends in a dead letter queue, never swallowed.
    pub fn parse(bytes: &[u8]) -> Result<Self, AwsError> {
        Self::from_json(serde_json::from_slice(bytes).map_err(|error| AwsError::NotJson { detail: error.to_string() })?)
    }

    /// As [`Self::parse`], for an event that is JSON already.
    pub fn from_json(value: Value) -> Result<Self, AwsError> {
        let Value::Object(mut event) = value else { return Err(AwsError::UnknownEvent { seen: format!("a JSON {}", kind_of(&value)) }) };
        if let Some(front) = http_front(&event) {
            return Ok(Self::of(EventKind::Http(front), Vec::new()));
        }
        if let Some(data) = event.get("awslogs").and_then(|logs| logs.get("data")) {
            let content = data.as_str().ok_or_else(|| shape("CloudWatch Logs", "awslogs.data", "string")).and_then(cloudwatch);
            return Ok(Self::of(EventKind::CloudWatch, vec![Item::new("", content)]));
        }
        if event.get("deliveryStreamArn").is_some()
            && let Some(Value::Array(records)) = event.get_mut("records").map(Value::take)
        {
            return Ok(firehose(&event, records));
        }
        if let Some(Value::Array(records)) = event.get_mut("Records").map(Value::take) {
            return Self::of_records(records);
        }
        if content::is_s3_test(&event) {
            return Ok(Self::of(EventKind::S3Test, Vec::new()));
        }
        match (content::text(&event, "source"), content::text(&event, "detail-type")) {
            (Some("aws.s3"), Some(_)) => Ok(Self::of(EventKind::ObjectCreated, vec![Item::new("", content::of_event_bridge(&event))])),
            (Some("aws.events" | "aws.scheduler"), Some("Scheduled Event")) => Ok(Self::of(EventKind::Scheduled, Vec::new())),
            _ => Err(unknown(&event)),
        }
    }

    fn of(kind: EventKind, items: Vec<Item>) -> Self {
        Self { kind, items, ordered: false }
    }

    fn of_records(records: Vec<Value>) -> Result<Self, AwsError> {
        let mut kind = None;
        let mut items = Vec::with_capacity(records.len());
        let mut ordered = false;
        for (index, record) in records.into_iter().enumerate() {
            let Value::Object(record) = record else { return Err(shape("Records", &format!("Records[{index}]"), "object")) };
            let source = content::text(&record, "eventSource").or_else(|| content::text(&record, "EventSource")).unwrap_or_default();
            let (this, item) = match source {
                "aws:s3" => (EventKind::S3, Item::new("", content::of_s3_record(&record).map(Content::from))),
                "aws:sqs" => {
                    ordered |= content::text(&record, "eventSourceARN").is_some_and(|arn| arn.ends_with(".fifo"));
                    (EventKind::Sqs, sqs(&record, index)?)
                }
                "aws:sns" => (EventKind::Sns, Item::new("", content::of_sns_record(&record))),
                "aws:kinesis" => {
                    ordered = true;
                    (EventKind::Kinesis, kinesis(&record, index)?)
                }
                other => return Err(AwsError::UnknownEvent { seen: format!("Records[{index}] with eventSource {}", quoted(other)) }),
            };
            if kind.is_some_and(|kind| kind != this) {
                return Err(AwsError::UnknownEvent { seen: format!("records of several sources, {} among them", quoted(source)) });
            }
            kind = Some(this);
            items.push(item);
        }
        match kind {
            Some(kind) => Ok(Self { kind, items, ordered }),
            None => Err(AwsError::UnknownEvent { seen: "an empty list of Records".to_owned() }),
        }
    }
}

fn http_front(event: &Map<String, Value>) -> Option<HttpFront> {
    let context = event.get("requestContext")?;
    if context.get("http").is_some() {
        let domain = context.get("domainName").and_then(Value::as_str).unwrap_or_default();
        return Some(if domain.contains(".lambda-url.") { HttpFront::FunctionUrl } else { HttpFront::HttpApi });
    }
    if context.get("elb").is_some() {
        return Some(HttpFront::LoadBalancer);
    }
    let is_rest = event.get("httpMethod").is_some() && (event.get("resource").is_some() || context.get("stage").is_some());
    is_rest.then_some(HttpFront::RestApi)
}

/// The item of an SQS message. A message without an id cannot be reported and fails the event.
fn sqs(record: &Map<String, Value>, index: usize) -> Result<Item, AwsError> {
    let id = content::text(record, "messageId").ok_or_else(|| shape("SQS", &format!("Records[{index}].messageId"), "string"))?;
    let sent = record.get("attributes").and_then(|all| all.get("SentTimestamp")).and_then(Value::as_str);
    let source = Source::new(LogType::Sqs).with_arn(content::text(record, "eventSourceARN").unwrap_or_default(), "queue");
    let content = match content::text(record, "body") {
        Some(body) => {
            let received = sent.and_then(|sent| time::text(sent.as_bytes()));
            content::of_text(body, Payload { source, received, metadata: vec![("sqs_message_id", id.to_owned())], data: Vec::new() })
        }
        None => Err(shape("SQS", &format!("Records[{index}].body"), "string")),
    };
    Ok(Item::new(id, content))
}

fn kinesis(record: &Map<String, Value>, index: usize) -> Result<Item, AwsError> {
    let place = |member: &str| format!("Records[{index}].kinesis.{member}");
    let kinesis = record.get("kinesis").and_then(Value::as_object).ok_or_else(|| shape("Kinesis", &format!("Records[{index}].kinesis"), "object"))?;
    let id = content::text(kinesis, "sequenceNumber").ok_or_else(|| shape("Kinesis", &place("sequenceNumber"), "string"))?;
    let source = Source::new(LogType::Kinesis).with_arn(content::text(record, "eventSourceARN").unwrap_or_default(), "stream");
    let received = kinesis.get("approximateArrivalTimestamp").and_then(Value::as_f64).and_then(time::epoch_float);
    let data = content::text(kinesis, "data").ok_or_else(|| shape("Kinesis", &place("data"), "string"));
    let content = data.and_then(|data| base64(data, &place("data"))).and_then(|data| {
        let metadata = vec![("kinesis_sequence_number", id.to_owned())];
        let Some(inner) = aggregated::records(&data) else { return content::of_bytes(Payload { source, received, metadata, data }) };
        let payload = |data: &[u8]| Payload { source: source.clone(), received, metadata: metadata.clone(), data: data.to_vec() };
        inner?.into_iter().map(|data| content::of_bytes(payload(data))).collect::<Result<Vec<_>, _>>().map(Content::Several)
    });
    Ok(Item::new(id, content))
}

fn firehose(event: &Map<String, Value>, records: Vec<Value>) -> Event {
    let arn = content::text(event, "deliveryStreamArn").unwrap_or_default();
    let mut items = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let id = record.get("recordId").and_then(Value::as_str).unwrap_or_default();
        let received = record.get("approximateArrivalTimestamp").and_then(Value::as_i64).and_then(time::epoch);
        let place = format!("records[{index}].data");
        let data = record.get("data").and_then(Value::as_str);
        let bytes = data.ok_or_else(|| shape("Firehose", &place, "string")).and_then(|data| base64(data, &place));
        let source = Source::new(LogType::Firehose).with_arn(arn, "stream");
        let content = bytes.and_then(|data| content::of_bytes(Payload { source, received, metadata: vec![("firehose_record_id", id.to_owned())], data }));
        items.push(Item { data: data.map(str::to_owned), ..Item::new(id, content) });
    }
    Event::of(EventKind::FirehoseTransform, items)
}

/// CloudWatch Logs data as an event carries it.
fn cloudwatch(data: &str) -> Result<Content, AwsError> {
    let payload = Payload { source: Source::new(LogType::CloudWatch), received: None, metadata: Vec::new(), data: base64(data, "awslogs.data")? };
    Ok(Content::CloudWatch(payload))
}

pub(super) fn base64(text: &str, place: &str) -> Result<Vec<u8>, AwsError> {
    STANDARD.decode(text.trim()).map_err(|error| AwsError::Base64 { place: place.to_owned(), detail: error.to_string() })
}

pub(super) fn shape(event: &'static str, place: &str, kind: &'static str) -> AwsError {
    AwsError::Shape { event, place: place.to_owned(), kind }
}

/// The error for an event that nothing above knows, with its members as the evidence.
fn unknown(event: &Map<String, Value>) -> AwsError {
    const MOST_NAMES: usize = 12;
    let named = |name: &str| content::text(event, name).map(|value| format!("{name} {}", quoted(value)));
    let told: Vec<String> = ["eventSource", "source", "detail-type"].into_iter().filter_map(named).collect();
    let names: Vec<String> = event.keys().take(MOST_NAMES).map(|name| quoted(name)).collect();
    let members = if names.is_empty() { "an empty object".to_owned() } else { format!("an object with {}", names.join(", ")) };
    AwsError::UnknownEvent { seen: if told.is_empty() { members } else { format!("{} in {members}", told.join(", ")) } }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
