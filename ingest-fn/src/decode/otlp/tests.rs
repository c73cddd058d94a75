//! Bodies come from prost, an encoder of its own, from JSON text, or are spelled byte by byte. The answers are those of Loki's documentation on
//! OpenTelemetry and of its features as listed there, worked out by hand.

mod message;

use proptest::prelude::*;
use prost::Message as _;
use schema::{IngestLimits, Timestamp};

use self::message::{Any, KeyValue, List, LogRecord, Map, Request, Resource, ResourceLogs, Scope, ScopeLogs, any_request, to_json};
use crate::PushError;
use crate::request::Decoded;
use crate::rows::RowWriter;
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn proto(body: &[u8], limits: &IngestLimits) -> Result<Decoded, PushError> {
    let mut rows = RowWriter::new(limits, NOW, None, body.len())?;
    super::decode_proto(body, NOW, &mut rows)?;
    rows.finish()
}

fn json(body: &str, limits: &IngestLimits) -> Result<Decoded, PushError> {
    let mut rows = RowWriter::new(limits, NOW, None, body.len())?;
    super::decode_json(body.as_bytes(), NOW, &mut rows)?;
    rows.finish()
}

/// Rows of a request, which must be the same from protobuf and from JSON.
fn rows_of(request: &Request) -> String {
    let limits = IngestLimits::default();
    let rows = show(&proto(&request.encode_to_vec(), &limits).unwrap().batch);
    assert_eq!(show(&json(&to_json(request), &limits).unwrap().batch), rows);
    rows
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::Text(value.to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value.into()) }
}

fn request(resource: Vec<KeyValue>, records: Vec<LogRecord>) -> Request {
    let scope_logs = vec![ScopeLogs { scope: None, log_records: records }];
    Request { resource_logs: vec![ResourceLogs { resource: Some(Resource { attributes: resource }), scope_logs }] }
}

fn record(time: u64, line: &str) -> LogRecord {
    LogRecord { time_unix_nano: time, body: Some(Any::Text(line.to_owned()).into()), ..LogRecord::default() }
}

/// The shape of `examples/logs.json` of opentelemetry-proto: ids in upper case, 64-bit integers as numbers or as strings.
#[test]
fn the_documented_json() {
    let body = r#"{"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "checkout"}}, {"key": "host.name", "value": {"stringValue": "h1"}}]},
        "scopeLogs": [{
            "scope": {"name": "cart", "version": "1.0.0", "attributes": [{"key": "scope.attribute", "value": {"stringValue": "s"}}]},
            "logRecords": [{
                "timeUnixNano": "1544712660300000000", "observedTimeUnixNano": 1544712660300000001,
                "severityNumber": 10, "severityText": "Information",
                "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
                "body": {"stringValue": "Example log record"},
                "attributes": [
                    {"key": "string.attribute", "value": {"stringValue": "some string"}},
                    {"key": "boolean.attribute", "value": {"boolValue": true}},
                    {"key": "int.attribute", "value": {"intValue": "10"}},
                    {"key": "double.attribute", "value": {"doubleValue": 637.704}},
                    {"key": "array.attribute", "value": {"arrayValue": {"values": [{"stringValue": "many"}, {"stringValue": "values"}]}}},
                    {"key": "map.attribute", "value": {"kvlistValue": {"values": [{"key": "some.map.key", "value": {"stringValue": "v"}}]}}}]
            }]
        }]
    }]}"#;
    let expected = concat!(
        r#"{service_name="checkout"} 1544712660300000000 "Example log record" {string_attribute="some string", boolean_attribute="true", int_attribute="10", "#,
        r#"double_attribute="637.704", array_attribute="[\"many\",\"values\"]", map_attribute_some_map_key="v", observed_timestamp="1544712660300000001", "#,
        r#"severity_number="10", severity_text="Information", trace_id="5b8efff798038103d269b633813fc60c", span_id="eee19b7ec3c1b174", host_name="h1", "#,
        r#"scope_attribute="s", scope_name="cart", scope_version="1.0.0", detected_level="info"}"#,
        "\n"
    );
    assert_eq!(show(&json(body, &IngestLimits::default()).unwrap().batch), expected);
    // The original names of fields, and severities by name.
    let snake = body
        .replace("timeUnixNano", "time_unix_nano")
        .replace("scopeLogs", "scope_logs")
        .replace("10, \"severityText", "\"SEVERITY_NUMBER_INFO2\", \"severity_text");
    assert_eq!(show(&json(&snake, &IngestLimits::default()).unwrap().batch), expected);
}

#[test]
fn resources_become_streams() {
    let limits = IngestLimits::default();
    for (attributes, labels) in [
        (vec![text("k8s.pod.name", "p"), text("k8s.container.name", "c")], r#"{k8s_container_name="c", k8s_pod_name="p", service_name="c"}"#),
        (vec![text("service.name", "s"), text("deployment.environment.name", "prod")], r#"{deployment_environment_name="prod", service_name="s"}"#),
        (vec![text("service.name", "")], r#"{service_name="unknown_service"}"#),
        (vec![], r#"{service_name="unknown_service"}"#),
        (vec![attribute("service.instance.id", Any::Int(7))], r#"{service_instance_id="7", service_name="unknown_service"}"#),
    ] {
        assert_eq!(rows_of(&request(attributes, vec![record(5, "l")])), format!("{labels} 5 \"l\" {{detected_level=\"unknown\"}}\n"));
    }
    // Other labels than the default ones.
    let chosen = IngestLimits { otlp_index_labels: vec!["team".to_owned()], ..limits };
    let body = request(vec![text("service.name", "s"), text("team", "t")], vec![record(5, "l")]).encode_to_vec();
    assert_eq!(
        show(&proto(&body, &chosen).unwrap().batch),
        "{service_name=\"unknown_service\", team=\"t\"} 5 \"l\" {service_name=\"s\", detected_level=\"unknown\"}\n"
    );
}

#[test]
fn times_levels_and_identifiers() {
    let at = |time, observed| LogRecord { observed_time_unix_nano: observed, ..record(time, "l") };
    let severe = |number, text: &str| LogRecord { severity_number: number, severity_text: text.to_owned(), ..record(1, "level=debug") };
    let ids = LogRecord { trace_id: vec![0xab; 16], span_id: vec![0; 8], flags: 1, dropped_attributes_count: 3, event_name: "e".to_owned(), ..record(1, "l") };
    let short = LogRecord { trace_id: vec![0xab; 15], span_id: vec![1; 8], ..record(1, "l") };
    let records = vec![
        at(7, 8),
        at(7, 0),
        at(0, 8),
        at(0, 0),
        at(0, 0),
        severe(17, ""),
        severe(0, "WARN"),
        severe(21, "my own"),
        severe(99, ""),
        severe(0, ""),
        ids,
        short,
    ];
    let expected = r#"7 "l" {observed_timestamp="8", detected_level="unknown"}
7 "l" {detected_level="unknown"}
8 "l" {detected_level="unknown"}
1700000000000000000 "l" {detected_level="unknown"}
1700000000000000001 "l" {detected_level="unknown"}
1 "level=debug" {severity_number="17", detected_level="error"}
1 "level=debug" {severity_text="WARN", detected_level="warn"}
1 "level=debug" {severity_number="21", severity_text="my own", detected_level="my own"}
1 "level=debug" {severity_number="99", detected_level="unknown"}
1 "level=debug" {detected_level="debug"}
1 "l" {dropped_attributes_count="3", flags="1", trace_id="abababababababababababababababab", event_name="e", detected_level="unknown"}
1 "l" {span_id="0101010101010101", detected_level="unknown"}
"#;
    let rows = rows_of(&request(vec![], records));
    assert_eq!(rows.replace("{service_name=\"unknown_service\"} ", ""), expected);
}

#[test]
fn bodies_and_attributes_of_every_kind() {
    let map = |members: Vec<(&str, Any)>| Any::Map(Map { values: members.into_iter().map(|(key, value)| attribute(key, value)).collect() });
    let list = |values: Vec<Any>| Any::List(List { values: values.into_iter().map(Into::into).collect() });
    for (value, line) in [
        (Any::Text("<a> \"b\"".to_owned()), r#"<a> "b""#),
        (Any::Bool(false), "false"),
        (Any::Int(-5), "-5"),
        (Any::Int(i64::MIN), "-9223372036854775808"),
        (Any::Double(1.0), "1"),
        (Any::Double(0.1), "0.1"),
        (Any::Double(1e21), "1e+21"),
        (Any::Double(-1.5e-7), "-1.5e-7"),
        (Any::Double(f64::INFINITY), "+Inf"),
        (Any::Bytes(b"hello\xff".to_vec()), "aGVsbG//"),
        (list(vec![]), "[]"),
        (map(vec![]), "{}"),
        (
            map(vec![
                ("b", Any::Text("\"\\\n\t\u{1}<é>".to_owned())),
                ("a", list(vec![Any::Int(1), Any::Bytes(b"ab".to_vec()), Any::Double(2.5)])),
                ("b", Any::Bool(true)),
            ]),
            r#"{"a":[1,"YWI=",2.5],"b":true}"#,
        ),
        (map(vec![("b", Any::Text("\"\\\n\t\u{1}<é>".to_owned()))]), r#"{"b":"\"\\\n\t\u0001<é>"}"#),
    ] {
        let body = LogRecord { body: Some(value.into()), ..record(1, "") };
        let expected = format!("{{service_name=\"unknown_service\"}} 1 {line:?} ");
        let rows = rows_of(&request(vec![], vec![body]));
        assert!(rows.starts_with(&expected), "{rows} {expected}");
    }
    let nested =
        map(vec![("b.c", map(vec![("d", Any::Int(1)), ("e", list(vec![map(vec![("f", Any::Int(2))])]))])), ("empty", map(vec![])), ("g", Any::Bool(true))]);
    let attributes = vec![attribute("a", nested), text("1st", "x"), KeyValue { key: "none".to_owned(), value: None }];
    let scope = Scope { name: "n".to_owned(), version: "v".to_owned(), attributes: vec![text("a_g", "shadowed")], dropped_attributes_count: 2 };
    let mut whole = request(vec![attribute("os", map(vec![("type", Any::Text("linux".to_owned()))]))], vec![LogRecord { attributes, ..record(1, "l") }]);
    whole.resource_logs[0].scope_logs[0].scope = Some(scope);
    assert_eq!(
        rows_of(&whole),
        "{service_name=\"unknown_service\"} 1 \"l\" {a_b_c_d=\"1\", a_b_c_e=\"[{\\\"f\\\":2}]\", a_g=\"true\", key_1st=\"x\", none=\"\", os_type=\"linux\", scope_name=\"n\", scope_version=\"v\", scope_dropped_attributes_count=\"2\", detected_level=\"unknown\"}\n"
    );
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// Spelled from the `.proto` files: the scope and the resource behind what they are for, an unknown field in each message.
#[test]
fn wire_bytes_in_any_order() {
    let unknown = [15 << 3, 1];
    let key_value = |key: &[u8], value: &[u8]| [field(2, &field(1, value)), unknown.to_vec(), field(1, key)].concat();
    let log = [&[1 << 3 | 1, 9, 0, 0, 0, 0, 0, 0, 0][..], &unknown, &field(5, &field(1, b"line")), &[2 << 3, 17], &field(6, &key_value(b"k", b"v"))].concat();
    let scope_logs = [field(2, &log), unknown.to_vec(), field(1, &field(1, b"lib"))].concat();
    let resource_logs = [field(2, &scope_logs), unknown.to_vec(), field(1, &field(1, &key_value(b"service.name", b"s")))].concat();
    let rows = show(&proto(&[unknown.to_vec(), field(1, &resource_logs)].concat(), &IngestLimits::default()).unwrap().batch);
    assert_eq!(rows, "{service_name=\"s\"} 9 \"line\" {k=\"v\", severity_number=\"17\", scope_name=\"lib\", detected_level=\"error\"}\n");
}

/// What opentelemetry-sdk 1.45.2 for Python sent: two records, the trace of each made from its number (`tests/clients/opentelemetry`).
#[test]
fn bytes_of_the_python_sdk() {
    let body = include_bytes!("../../../golden/otlp-python-sdk.bin");
    let labels = r#"{deployment_environment="test", service_instance_id="7c334ad4-23b0-476e-a92b-74d03384734b", service_name="opentelemetry-none"}"#;
    let shared = r#"telemetry_sdk_language="python", telemetry_sdk_name="opentelemetry", telemetry_sdk_version="1.45.2", host_name="h1", host_arch="[\"a\",\"b\"]", scope_name="clients", scope_version="1.2.3""#;
    let row = |time: u64, line: &str, n: u64, number: u8, text: &str, level: &str| {
        let (trace, span) = (format!("{:032x}", n + 1), format!("{:016x}", n + 2));
        format!(
            "{labels} {time} \"{line}\" {{n=\"{n}\", http_request_method=\"GET\", severity_number=\"{number}\", severity_text=\"{text}\", flags=\"1\", \
             trace_id=\"{trace}\", span_id=\"{span}\", {shared}, detected_level=\"{level}\"}}\n"
        )
    };
    let expected = row(1_795_639_510_576_463_449, "line one", 0, 9, "INFO", "info") + &row(1_795_639_510_576_545_141, "line two", 1, 13, "WARN", "warn");
    assert_eq!(show(&proto(body, &IngestLimits::default()).unwrap().batch), expected);
}

#[test]
fn what_cannot_be_read_says_why() {
    let limits = IngestLimits::default();
    let log = |text: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{text}]}}]}}]}}"#);
    for (body, error) in [
        ("{".to_owned(), "malformed JSON: expected a key at byte 1"),
        ("[]".to_owned(), "malformed JSON: expected an object at byte 0"),
        (r#"{"resourceLogs":{}}"#.to_owned(), "malformed JSON: expected an array at byte 16"),
        (log(r#"{"timeUnixNano":"x"}"#), "malformed JSON: expected nanoseconds since the epoch at byte 62"),
        (log(r#"{"timeUnixNano":"9223372036854775808"}"#), "malformed JSON: timestamp past the year 2262 at byte 62"),
        (log(r#"{"severityNumber":"LOUD"}"#), "malformed JSON: not a severity number at byte 64"),
        (log(r#"{"body":{"intValue":1.5}}"#), "malformed JSON: expected an integer of 64 bits at byte 66"),
        (log(r#"{"body":{"bytesValue":"?"}}"#), "malformed JSON: not base64 at byte 68"),
        (log(r#"{"body":"text"}"#), "malformed JSON: expected an object at byte 54"),
        (log(r#"{"attributes":[{"key":"_","value":{"stringValue":"x"}}]}"#), "structured metadata name \"_\" is invalid: it needs a letter or a digit"),
    ] {
        let refused = json(&body, &limits).unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.to_string().as_str()), (400, error), "{body}");
    }
    for (body, error) in [
        (vec![0x0a, 0x05, 0x00], "malformed protobuf: length past the end at byte 2"),
        (field(1, &field(2, &field(2, &[1 << 3, 1]))), "malformed protobuf: wrong wire type, expected eight bytes at byte 7"),
        (field(1, &field(2, &field(2, &[8 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0]))), "malformed protobuf: wrong wire type, expected four bytes at byte 7"),
        (field(1, &field(2, &field(2, &[9, 255, 255, 255, 255, 255, 255, 255, 255]))), "malformed protobuf: timestamp past the year 2262 at byte 6"),
    ] {
        assert_eq!(proto(&body, &limits).unwrap_err().to_string(), error);
    }
    for empty in ["{}", "null", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":[null,{"resource":{},"scopeLogs":[{"logRecords":null}]}]}"#] {
        assert_eq!(json(empty, &limits).unwrap_err().status(), 422, "{empty}");
    }
    // JSON that tolerant receivers take.
    let lenient = log(r#"{"timeUnixNano":1.5447126603e18,"traceId":"xyz","body":{"bytesValue":"-_8"},"flags":null,"new":{"a":[1]}}"#);
    assert_eq!(show(&json(&lenient, &limits).unwrap().batch), "{service_name=\"unknown_service\"} 1544712660300000000 \"+/8=\" {detected_level=\"unknown\"}\n");
}

#[test]
fn values_are_followed_only_so_deep() {
    let nest = |levels: usize| (0..levels).fold(Any::Int(1), |inner, _| Any::List(List { values: vec![inner.into()] }));
    let body = |levels| request(vec![], vec![LogRecord { body: Some(nest(levels).into()), ..record(1, "") }]);
    assert!(rows_of(&body(64)).contains(&"[".repeat(64)));
    for levels in [65, 67] {
        let refused = |error: PushError| assert!(error.to_string().contains("value nested too deep"), "{error}");
        refused(proto(&body(levels).encode_to_vec(), &IngestLimits::default()).unwrap_err());
        refused(json(&to_json(&body(levels)), &IngestLimits::default()).unwrap_err());
    }
}

#[test]
fn entries_beyond_the_limits_are_refused_alone() {
    let limits = IngestLimits { max_line_size: 30, max_structured_metadata_size: 100, max_structured_metadata_entries_count: 3, ..IngestLimits::default() };
    let large = Any::List(List { values: vec![Any::Text("x".repeat(40)).into()] });
    let many = (0..100_000).map(|n| attribute(&format!("a{n}"), Any::Int(n))).collect();
    let wide = Any::Map(Map { values: vec![attribute(&"k".repeat(60), large.clone())] });
    let records = vec![
        LogRecord { body: Some(large.into()), ..record(1, "") },
        LogRecord { attributes: many, ..record(2, "") },
        LogRecord { attributes: vec![attribute("w", wide)], ..record(3, "") },
        LogRecord { attributes: vec![text("a", "1"), text("b", "2"), text("c", "3")], ..record(4, "kept") },
    ];
    let decoded = proto(&request(vec![], records).encode_to_vec(), &limits).unwrap();
    assert_eq!(show(&decoded.batch), "{service_name=\"unknown_service\"} 4 \"kept\" {a=\"1\", b=\"2\", c=\"3\", detected_level=\"unknown\"}\n");
    assert_eq!(decoded.rejected.lines(), 3);
    let told = decoded.rejected.text();
    // The size is checked before the number.
    for part in ["with length '44' bytes", "has structured metadata too large: '1077780' bytes", "has structured metadata too large: '106' bytes"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

/// 200 records of a few bytes with 110 bytes of their resource each (10 of them the name, `host_name` aside): a body of 3 KB, rows of 25 KB.
#[test]
fn what_records_share_is_bounded() {
    let whole = request(vec![text("host.about", &"x".repeat(100))], vec![record(1, "l"); 200]);
    let body = whole.encode_to_vec();
    let limits = |max_decompressed_bytes| IngestLimits { max_decompressed_bytes, ..IngestLimits::default() };
    assert!(body.len() < 4000);
    assert_eq!(proto(&body, &limits(200 * (110 + 16))).unwrap().lines, 200);
    let refused = proto(&body, &limits(200 * (110 + 16) - 1)).unwrap_err();
    assert_eq!(refused.status(), 413);
    assert_eq!(
        refused.to_string(),
        "request body too large: the decompressed body with the attributes of resources and scopes repeated for each record exceeds the limit of 25199 bytes"
    );
    // Attributes that no record can have are not repeated: the records are refused one by one.
    let tight = IngestLimits { max_structured_metadata_size: 100, ..limits(1000) };
    assert_eq!(proto(&body, &tight).unwrap().rejected.lines(), 200);
}

/// Equal resources are one stream, whatever lies between them.
#[test]
fn resources_that_come_again() {
    let part = |service: &str, line: &str| request(vec![text("service.name", service)], vec![record(1, line)]).resource_logs;
    let whole = Request { resource_logs: [part("a", "1"), part("b", "2"), part("a", "3")].concat() };
    assert_eq!(rows_of(&whole).matches("{service_name=\"a\"}").count(), 2);
}

proptest! {
    #[test]
    fn protobuf_and_json_give_the_same_rows(request in any_request()) {
        let limits = IngestLimits::default();
        let from_proto = proto(&request.encode_to_vec(), &limits).unwrap();
        let from_json = json(&to_json(&request), &limits).unwrap();
        prop_assert_eq!(show(&from_proto.batch), show(&from_json.batch));
        prop_assert_eq!(from_proto, from_json);
    }

    #[test]
    fn damage_never_panics(request in any_request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let limits = IngestLimits::default();
        let mut body = request.encode_to_vec();
        let at_byte = at.index(body.len());
        let _ = proto(&body[..at_byte], &limits);
        body[at_byte] = byte;
        if let Ok(decoded) = proto(&body, &limits) {
            prop_assert_eq!(decoded.batch.runs.iter().map(|run| run.rows.len()).sum::<usize>(), decoded.batch.len());
        }
        let mut text = to_json(&request).into_bytes();
        let at_byte = at.index(text.len());
        text[at_byte] = byte;
        let _ = json(&String::from_utf8_lossy(&text), &limits);
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = proto(&body, &IngestLimits::default());
    }
}
