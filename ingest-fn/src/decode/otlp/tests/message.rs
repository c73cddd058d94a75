//! OTLP's messages for prost, written down from the `.proto` files, the same in JSON by serde_json, and any of them for properties.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Map as JsonMap, Value, json};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "7")]
    pub(super) dropped_attributes_count: u32,
    #[prost(fixed32, tag = "8")]
    pub(super) flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub(super) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    List(List),
    #[prost(message, tag = "6")]
    Map(Map),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct List {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Map {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<KeyValue>,
}

impl From<Any> for AnyValue {
    fn from(value: Any) -> Self {
        Self { value: Some(value) }
    }
}

/// The request as the specification writes it in JSON.
pub(super) fn to_json(request: &Request) -> String {
    let resources: Vec<Value> = request.resource_logs.iter().map(resource_logs).collect();
    json!({ "resourceLogs": resources }).to_string()
}

fn resource_logs(logs: &ResourceLogs) -> Value {
    let mut out = JsonMap::new();
    if let Some(resource) = &logs.resource {
        out.insert("resource".to_owned(), json!({ "attributes": attributes(&resource.attributes) }));
    }
    let scopes: Vec<Value> = logs.scope_logs.iter().map(scope_logs).collect();
    out.insert("scopeLogs".to_owned(), json!(scopes));
    Value::Object(out)
}

fn scope_logs(logs: &ScopeLogs) -> Value {
    let scope = logs.scope.as_ref().map(|scope| {
        json!({
            "name": scope.name, "version": scope.version, "attributes": attributes(&scope.attributes),
            "droppedAttributesCount": scope.dropped_attributes_count,
        })
    });
    let records: Vec<Value> = logs.log_records.iter().map(log_record).collect();
    json!({ "scope": scope, "logRecords": records })
}

fn log_record(record: &LogRecord) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    json!({
        "timeUnixNano": record.time_unix_nano.to_string(), "observedTimeUnixNano": record.observed_time_unix_nano.to_string(),
        "severityNumber": record.severity_number, "severityText": record.severity_text, "body": record.body.as_ref().map(any_value),
        "attributes": attributes(&record.attributes), "droppedAttributesCount": record.dropped_attributes_count, "flags": record.flags,
        "traceId": hex(&record.trace_id), "spanId": hex(&record.span_id), "eventName": record.event_name,
    })
}

fn attributes(list: &[KeyValue]) -> Vec<Value> {
    list.iter().map(|attribute| json!({ "key": attribute.key, "value": attribute.value.as_ref().map(any_value) })).collect()
}

fn any_value(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::Text(text)) => json!({ "stringValue": text }),
        Some(Any::Bool(value)) => json!({ "boolValue": value }),
        Some(Any::Int(number)) => json!({ "intValue": number.to_string() }),
        Some(Any::Double(number)) if number.is_finite() => json!({ "doubleValue": number }),
        Some(Any::Double(number)) => json!({ "doubleValue": if number.is_nan() { "NaN" } else if *number > 0.0 { "Infinity" } else { "-Infinity" } }),
        Some(Any::List(list)) => json!({ "arrayValue": { "values": list.values.iter().map(any_value).collect::<Vec<_>>() } }),
        Some(Any::Map(map)) => json!({ "kvlistValue": { "values": attributes(&map.values) } }),
        Some(Any::Bytes(bytes)) => json!({ "bytesValue": base64::engine::general_purpose::STANDARD.encode(bytes) }),
    }
}

/// Any value, as far as both formats can say it.
fn any_any() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        "\\PC{0,12}".prop_map(Any::Text),
        "[\\x00-\\x1f\"\\\\<é]{0,6}".prop_map(Any::Text),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Int),
        prop::num::f64::ANY.prop_filter("every NaN is NaN in JSON", |number| !number.is_nan()).prop_map(Any::Double),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Any::Bytes),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = inner.prop_map(AnyValue::from);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| Any::List(List { values })),
            prop::collection::vec(("[a-c.]{0,3}x", prop::option::of(inner)), 0..4)
                .prop_map(|values| Any::Map(Map { values: values.into_iter().map(|(key, value)| KeyValue { key, value }).collect() })),
        ]
    });
    prop_oneof![9 => value.prop_map(AnyValue::from), 1 => Just(AnyValue { value: None })]
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof!["[a-z][a-z.]{0,8}", Just("service.name".to_owned()), Just("k8s.pod.name".to_owned()), Just("level".to_owned())];
    prop::collection::vec((key, prop::option::of(any_any())).prop_map(|(key, value)| KeyValue { key, value }), 0..4)
}

/// Any request with a record.
pub(super) fn any_request() -> impl Strategy<Value = Request> {
    let id = |length: usize| prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), length)];
    let time = prop_oneof![Just(0), 1..i64::MAX.cast_unsigned()];
    let numbers = (time.clone(), time, -1..30, any::<u32>(), any::<u32>());
    let texts = (prop_oneof![Just(String::new()), Just("Warning".to_owned()), "\\PC{0,5}"], "\\PC{0,5}");
    let record = (numbers, texts, prop::option::of(any_any()), any_attributes(), id(16), id(8)).prop_map(
        |(
            (time_unix_nano, observed_time_unix_nano, severity_number, flags, dropped_attributes_count),
            (severity_text, event_name),
            body,
            attributes,
            trace_id,
            span_id,
        )| LogRecord {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count,
            flags,
            trace_id,
            span_id,
            event_name,
        },
    );
    let scope = ("\\PC{0,5}", "\\PC{0,3}", any_attributes(), any::<u32>()).prop_map(|(name, version, attributes, dropped_attributes_count)| Scope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    });
    let scope_logs = (prop::option::of(scope), prop::collection::vec(record, 1..4)).prop_map(|(scope, log_records)| ScopeLogs { scope, log_records });
    let resource = prop::option::of(any_attributes().prop_map(|attributes| Resource { attributes }));
    let resource_logs = (resource, prop::collection::vec(scope_logs, 1..3)).prop_map(|(resource, scope_logs)| ResourceLogs { resource, scope_logs });
    prop::collection::vec(resource_logs, 1..3).prop_map(|resource_logs| Request { resource_logs })
}
