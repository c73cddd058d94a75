//! What a record carries: lines, CloudWatch Logs data, names of S3 objects, or another event.

use schema::Timestamp;
use serde_json::{Map, Value};

use super::object_ref::decode_key;
use super::{ObjectRef, base64, shape};
use crate::aws::error::AwsError;
use crate::aws::source::{LogType, Source};
use crate::aws::time;

/// What a record carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::aws) enum Content {
    /// Text, one entry a line.
    Lines(Payload),
    /// CloudWatch Logs data: JSON, mostly compressed.
    CloudWatch(Payload),
    /// Records that were packed into one.
    Several(Vec<Content>),
    /// Objects to read.
    Objects(Vec<ObjectRef>),
    /// Nothing to store, by design: a test event, a deleted object.
    Nothing,
}

/// Bytes with what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::aws) struct Payload {
    pub(in crate::aws) source: Source,
    /// The time of lines that have none of their own, in nanoseconds. Must be the same when the record is delivered again.
    pub(in crate::aws) received: Option<i64>,
    /// What tells these lines from equal ones in another record.
    pub(in crate::aws) metadata: Vec<(&'static str, String)>,
    pub(in crate::aws) data: Vec<u8>,
}

impl From<Option<ObjectRef>> for Content {
    fn from(object: Option<ObjectRef>) -> Self {
        object.map_or(Self::Nothing, |object| Self::Objects(vec![object]))
    }
}

/// Data of a Kinesis or Firehose record.
pub(in crate::aws) fn of_bytes(payload: Payload) -> Result<Content, AwsError> {
    match std::str::from_utf8(&payload.data) {
        Ok(text) if text.trim_start().starts_with('{') && text.contains("\"logEvents\"") && text.contains("\"messageType\"") => {
            Ok(Content::CloudWatch(payload))
        }
        _ if payload.data.starts_with(&crate::aws::expand::GZIP_MAGIC) => Ok(Content::CloudWatch(payload)),
        _ => Ok(Content::Lines(payload)),
    }
}

/// The body of an SQS message or of an SNS notification: an event, CloudWatch Logs data, or lines. `lines` is the payload of the last,
/// without its data.
pub(in crate::aws) fn of_text(body: &str, mut lines: Payload) -> Result<Content, AwsError> {
    // What gzip's magic and method look like in base64.
    const GZIP_BASE64: &str = "H4sI";
    let trimmed = body.trim();
    if trimmed.is_empty() {
        return Ok(Content::Nothing);
    }
    if trimmed.starts_with(GZIP_BASE64)
        && let Ok(data) = base64(trimmed, "body")
    {
        return Ok(Content::CloudWatch(Payload { data, ..lines }));
    }
    let document = if trimmed.starts_with('{') { serde_json::from_str(trimmed).ok() } else { None };
    // Not one JSON document: text, or JSON lines.
    let Some(Value::Object(object)) = document else {
        body.as_bytes().clone_into(&mut lines.data);
        return Ok(Content::Lines(lines));
    };
    if is_s3_test(&object) {
        return Ok(Content::Nothing);
    }
    if let Some(data) = object.get("awslogs").and_then(|logs| logs.get("data")).and_then(Value::as_str) {
        return Ok(Content::CloudWatch(Payload { data: base64(data, "awslogs.data")?, ..lines }));
    }
    if object.get("messageType").is_some() && object.get("logEvents").is_some() {
        body.as_bytes().clone_into(&mut lines.data);
        return Ok(Content::CloudWatch(lines));
    }
    if text(&object, "Type") == Some("Notification")
        && let Some(message) = text(&object, "Message")
        && let Some(topic) = text(&object, "TopicArn")
    {
        return of_text(message, sns_payload(topic, text(&object, "MessageId"), text(&object, "Timestamp")));
    }
    if text(&object, "source") == Some("aws.s3") && object.contains_key("detail-type") {
        return of_event_bridge(&object);
    }
    if let Some(Value::Array(records)) = object.get("Records")
        && records.iter().any(|record| record.get("eventSource").and_then(Value::as_str) == Some("aws:s3"))
    {
        return of_s3_records(records);
    }
    body.as_bytes().clone_into(&mut lines.data);
    Ok(Content::Lines(lines))
}

fn of_s3_records(records: &[Value]) -> Result<Content, AwsError> {
    let mut objects = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let record = record.as_object().ok_or_else(|| shape("S3", &format!("Records[{index}]"), "object"))?;
        objects.extend(of_s3_record(record)?);
    }
    Ok(if objects.is_empty() { Content::Nothing } else { Content::Objects(objects) })
}

/// The object of an S3 notification's record; none if it was not created.
pub(super) fn of_s3_record(record: &Map<String, Value>) -> Result<Option<ObjectRef>, AwsError> {
    let name = text(record, "eventName").ok_or_else(|| shape("S3", "Records[].eventName", "string"))?;
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated") {
        return Ok(None);
    }
    let s3 = record.get("s3").and_then(Value::as_object).ok_or_else(|| shape("S3", "Records[].s3", "object"))?;
    let mut object = object_of(s3, decode_key)?;
    object.region = text(record, "awsRegion").map(str::to_owned);
    object.event_time = text(record, "eventTime").and_then(|at| time::iso(at.as_bytes())).map(Timestamp);
    Ok(Some(object))
}

/// The object of an EventBridge event; none if it was not created.
pub(super) fn of_event_bridge(event: &Map<String, Value>) -> Result<Content, AwsError> {
    if text(event, "detail-type") != Some("Object Created") {
        return Ok(Content::Nothing);
    }
    let detail = event.get("detail").and_then(Value::as_object).ok_or_else(|| shape("EventBridge", "detail", "object"))?;
    let mut object = object_of(detail, str::to_owned)?;
    object.region = text(event, "region").map(str::to_owned);
    object.event_time = text(event, "time").and_then(|at| time::iso(at.as_bytes())).map(Timestamp);
    Ok(Content::Objects(vec![object]))
}

/// `bucket.name` and `object.*`, which both kinds of notification have.
fn object_of(part: &Map<String, Value>, key: impl Fn(&str) -> String) -> Result<ObjectRef, AwsError> {
    let bucket = part.get("bucket").and_then(|bucket| bucket.get("name")).and_then(Value::as_str);
    let object = part.get("object").and_then(Value::as_object);
    let encoded = object.and_then(|object| text(object, "key"));
    let (Some(bucket), Some(object), Some(encoded)) = (bucket, object, encoded) else {
        let place = if bucket.is_none() { "bucket.name" } else { "object.key" };
        return Err(shape("S3", place, "string"));
    };
    let owned = |name: &str| text(object, name).map(str::to_owned);
    Ok(ObjectRef {
        bucket: bucket.to_owned(),
        key: key(encoded),
        size: object.get("size").and_then(Value::as_u64),
        etag: owned("eTag").or_else(|| owned("etag")),
        version_id: owned("versionId").or_else(|| owned("version-id")),
        sequencer: owned("sequencer"),
        region: None,
        event_time: None,
    })
}

/// A record of an SNS event.
pub(super) fn of_sns_record(record: &Map<String, Value>) -> Result<Content, AwsError> {
    let sns = record.get("Sns").and_then(Value::as_object).ok_or_else(|| shape("SNS", "Records[].Sns", "object"))?;
    let message = text(sns, "Message").ok_or_else(|| shape("SNS", "Records[].Sns.Message", "string"))?;
    of_text(message, sns_payload(text(sns, "TopicArn").unwrap_or_default(), text(sns, "MessageId"), text(sns, "Timestamp")))
}

fn sns_payload(topic: &str, id: Option<&str>, sent: Option<&str>) -> Payload {
    Payload {
        source: Source::new(LogType::Sns).with_arn(topic, "topic"),
        received: sent.and_then(|at| time::iso(at.as_bytes())),
        metadata: id.map(|id| ("sns_message_id", id.to_owned())).into_iter().collect(),
        data: Vec::new(),
    }
}

/// What S3 sends when notifications are set up.
pub(super) fn is_s3_test(event: &Map<String, Value>) -> bool {
    text(event, "Event") == Some("s3:TestEvent")
}

pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}
