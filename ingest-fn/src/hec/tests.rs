//! Requests in, rows and answers out; times are worked out by hand (1700000000 is 2023-11-14T22:13:20Z).

use schema::{IngestLimits, TenantId, Timestamp};
use store::testing::FaultyStore;
use store::{Env, ObjectClient};

use super::event::time_of;
use super::handler::decode;
use super::*;
use crate::commit::{GroupCommitSettings, Ingester};
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn request(is_raw: bool, query: &str, body: &str) -> HecRequest {
    HecRequest { is_raw, query: query.to_owned(), content_encoding: None, body: body.to_owned().into(), tenant: TenantId::default_tenant() }
}

fn rows(is_raw: bool, query: &str, body: &str) -> String {
    show(&decode(&request(is_raw, query, body), &IngestLimits::default(), NOW).unwrap().batch)
}

async fn answer(limits: IngestLimits, request: HecRequest) -> (u16, String, usize) {
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &Env::fixed(NOW)).unwrap());
    let ingester = Ingester::new(client, Env::fixed(NOW), limits, GroupCommitSettings { direct: true, ..GroupCommitSettings::default() });
    let response = handle_hec(&ingester, request).await;
    (response.status.as_u16(), response.body, faults.requests().len())
}

#[test]
fn events_one_after_the_other() {
    let body = r#"{"time":1700000001.5,"host":"web-1","source":"/var/log/x","sourcetype":"nginx","index":"main","event":"hello","fields":{"region":"eu","n":3,"tags":["a","b"],"gone":null}}
{"event":{"msg":"as it was","level":"warn"},"host":"web-1"}{"event":"no time either"} {"time":"1700000002","event":7,"extra":{"a":1}}"#;
    let expected = r#"{host="web-1", index="main", service_name="unknown_service", source="/var/log/x", sourcetype="nginx"} 1700000001500000000 "hello" {region="eu", n="3", tags="[\"a\",\"b\"]", detected_level="unknown"}
{host="web-1", service_name="unknown_service"} 1700000000000000000 "{\"msg\":\"as it was\",\"level\":\"warn\"}" {detected_level="warn"}
{service_name="unknown_service"} 1700000000000000001 "no time either" {detected_level="unknown"}
{service_name="unknown_service"} 1700000002000000000 "7" {extra="{\"a\":1}", detected_level="unknown"}
"#;
    assert_eq!(rows(false, "", body), expected);
}

#[test]
fn the_url_says_what_events_do_not() {
    let query = "host=h%201&source=s&index=i&time=1700000005&channel=x&sourcetype=";
    let expected = r#"{host="h 1", index="i", service_name="unknown_service", source="s"} 1700000005000000000 "a" {detected_level="unknown"}
{host="own", index="i", service_name="checkout", source="s"} 1700000006000000000 "b" {detected_level="unknown"}
"#;
    let body = r#"{"event":"a"}{"host":"own","time":1700000006,"event":"b","fields":{"service.name":"checkout"}}"#;
    assert_eq!(rows(false, query, body), expected);
    let raw = r#"{host="h 1", index="i", service_name="unknown_service", source="s"} 1700000005000000000 "one" {detected_level="unknown"}
{host="h 1", index="i", service_name="unknown_service", source="s"} 1700000001000000000 "2023-11-14T22:13:21Z two" {detected_level="unknown"}
"#;
    assert_eq!(rows(true, query, "one\n\n2023-11-14T22:13:21Z two\r\n"), raw);
}

#[test]
fn times_are_read_to_the_digit() {
    for (text, expected) in [
        ("1700000000", Some(1_700_000_000_000_000_000)),
        ("1700000000.123456789", Some(1_700_000_000_123_456_789)),
        ("1700000000.1", Some(1_700_000_000_100_000_000)),
        ("1700000000123", Some(1_700_000_000_123_000_000)),
        ("1700000000123.5", Some(1_700_000_000_123_500_000)),
        ("1.7e9", Some(1_700_000_000_000_000_000)),
        (" 1700000000 ", Some(1_700_000_000_000_000_000)),
        ("yesterday", None),
        ("-1", None),
        ("", None),
        ("0", None),
    ] {
        assert_eq!(time_of(text.as_bytes()), expected, "{text}");
    }
}

/// What does not fit beside its line makes the whole event the line.
#[test]
fn an_event_with_too_many_fields_is_kept_whole() {
    let fields: Vec<String> = (0..200).map(|n| format!("\"f{n}\":1")).collect();
    for fields in [fields.join(","), "\"__\":1".to_owned()] {
        let event = format!("{{\"event\":\"x\",\"fields\":{{{fields}}}}}");
        let shown = rows(false, "", &event);
        assert!(shown.contains(&format!("{event:?} {{detected_level=\"unknown\"}}")), "{shown}");
    }
}

#[tokio::test]
async fn answers_have_splunks_numbers() {
    let long = IngestLimits { max_line_size: 4, ..IngestLimits::default() };
    for (limits, is_raw, body, status, told, requests) in [
        (IngestLimits::default(), false, r#"{"event":"x"}"#, 200, r#"{"text":"Success","code":0}"#, 1),
        (IngestLimits::default(), true, "x", 200, r#"{"text":"Success","code":0}"#, 1),
        (IngestLimits::default(), false, " \n", 400, r#"{"text":"No data","code":5}"#, 0),
        (IngestLimits::default(), true, "\n", 400, r#"{"text":"the body has no line to store","code":5}"#, 0),
        (IngestLimits::default(), false, r#"{"event":"x"}{"host":"h"}"#, 400, r#"{"text":"Event field is required","code":12,"invalid-event-number":1}"#, 0),
        (IngestLimits::default(), false, r#"{"event":null}"#, 400, r#"{"text":"Event field is required","code":12,"invalid-event-number":0}"#, 0),
        (IngestLimits::default(), false, r#"{"event":" "}"#, 400, r#"{"text":"Event field cannot be blank","code":13,"invalid-event-number":0}"#, 0),
        (
            IngestLimits::default(),
            false,
            r#"{"event":"x","time":"soon"}"#,
            400,
            r#"{"text":"Invalid data format: time is no number of seconds","code":6,"invalid-event-number":0}"#,
            0,
        ),
        (
            IngestLimits::default(),
            false,
            r#"{"event":"x","fields":{"a":{"b":1}}}"#,
            400,
            r#"{"text":"Error in handling indexed fields: fields is an object of texts, numbers and lists","code":15,"invalid-event-number":0}"#,
            0,
        ),
        (
            IngestLimits::default(),
            false,
            r#"[{"event":"x"}]"#,
            400,
            r#"{"text":"malformed JSON: expected an event, which is an object at byte 0","code":6,"invalid-event-number":0}"#,
            0,
        ),
        (
            long.clone(),
            false,
            r#"{"event":"long line"}{"event":"ok"}"#,
            400,
            r#"{"text":"max entry size '4' bytes exceeded for stream '{service_name=\"unknown_service\"}' while adding an entry with length '9' bytes","code":6}"#,
            1,
        ),
        (
            IngestLimits { max_body_bytes: 3, ..long },
            false,
            r#"{"event":"x"}"#,
            413,
            r#"{"text":"request body too large: the compressed body exceeds the limit of 3 bytes","code":27}"#,
            0,
        ),
    ] {
        assert_eq!(answer(limits, request(is_raw, "", body)).await, (status, told.to_owned(), requests), "{body}");
    }
    assert_eq!(hec_health(None).body, r#"{"text":"HEC is healthy","code":17}"#);
    assert_eq!(hec_refusal(http::StatusCode::UNAUTHORIZED, false, "Token is required").body, r#"{"text":"Token is required","code":2}"#);
}
