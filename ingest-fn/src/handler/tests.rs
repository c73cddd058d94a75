//! The status table: each fault of a push, its status, its text, its headers; partial acceptance; what is counted.

use std::io::Write as _;

use bytes::Bytes;
use schema::IngestLimits;
use store::testing::FaultyStore;
use store::{Env, ObjectClient};

use super::*;
use crate::commit::GroupCommitSettings;
use crate::request::PushFormat;
use crate::testkit::{Stream, entry, request, snappy_body, stream};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn ingester(limits: IngestLimits) -> (Ingester, FaultyStore) {
    let env = Env::fixed(schema::Timestamp(1_700_000_000_000_000_000));
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
    let settings = GroupCommitSettings { direct: true, ..GroupCommitSettings::default() };
    (Ingester::new(client, env, limits, settings), faults)
}

async fn answer(limits: IngestLimits, request: PushRequest<'_>) -> (u16, String, usize) {
    let (ingester, faults) = ingester(limits);
    let response = handle_push(&ingester, request).await;
    (response.status.as_u16(), response.body, faults.requests().len())
}

fn good() -> Vec<Stream> {
    vec![stream(r#"{app="x"}"#, vec![entry(1, "l", &[])])]
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn deflate(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

#[tokio::test]
async fn every_form_of_a_good_push_is_204_and_one_request() {
    let json = r#"{"streams":[{"stream":{"app":"x"},"values":[["1","l"]]}]}"#;
    let legacy = r#"{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2024-01-01T00:00:00Z","line":"l"}]}]}"#;
    let proto = snappy_body(good());
    let encoded = |encoding, request: PushRequest<'static>| PushRequest { content_encoding: Some(encoding), ..request };
    for request in [
        request(PROTOBUF, proto.clone()),
        request("text/plain", proto.clone()),
        encoded("snappy", request(PROTOBUF, proto.clone())),
        encoded("gzip", request(PROTOBUF, gzip(&proto))),
        encoded("deflate", request(PROTOBUF, deflate(&proto))),
        request(JSON, json),
        request("application/json; charset=utf-8", json),
        encoded("", request(JSON, json)),
        encoded("snappy", request(JSON, json)),
        encoded("snappy", request(JSON, crate::testkit::snappy(json.as_bytes()))),
        encoded("gzip", request(JSON, gzip(json.as_bytes()))),
        encoded("deflate", request(JSON, deflate(json.as_bytes()))),
        encoded("zstd", request(JSON, zstd::encode_all(json.as_bytes(), 1).unwrap())),
        PushRequest { format: PushFormat::Legacy, ..request(JSON, legacy) },
        PushRequest { format: PushFormat::Legacy, ..request(PROTOBUF, proto.clone()) },
    ] {
        let shown = format!("{:?} {:?}", request.content_type, request.content_encoding);
        assert_eq!(answer(IngestLimits::default(), request).await, (204, String::new(), 1), "{shown}");
    }
}

#[tokio::test]
async fn faults_of_the_whole_push_store_nothing() {
    let empty_stream = snappy_body(vec![stream("{app=\"x\"}", vec![])]);
    assert_eq!(answer(IngestLimits::default(), request(PROTOBUF, empty_stream)).await, (204, String::new(), 0));
    let with = |labels: &str| request(PROTOBUF, snappy_body(vec![good().remove(0), stream(labels, vec![entry(1, "l", &[])])]));
    let small = IngestLimits { max_body_bytes: 1000, max_decompressed_bytes: 2000, max_stream_labels_bytes: 100, ..IngestLimits::default() };
    for (request, status, text) in [
        (PushRequest { content_type: None, ..with("{}") }, 400, "mime: no media type"),
        (request("", ""), 400, "mime: no media type"),
        (PushRequest { content_encoding: Some("br"), ..with("{}") }, 400, "Content-Encoding \"br\" not supported"),
        (request(PROTOBUF, ""), 400, "malformed snappy: snappy: corrupt input (empty)"),
        (request(JSON, ""), 400, "malformed JSON: expected an object with `streams` at byte 0"),
        (request(PROTOBUF, snappy_body(vec![])), 422, "error at least one valid stream is required for ingestion"),
        (request(JSON, "{\"streams\":[]}"), 422, "error at least one valid stream is required for ingestion"),
        (with("{a=}"), 400, "couldn't parse labels: parse error at line 1, col 4: expected a quoted label value"),
        (
            with("{__backfill__=\"1\"}"),
            400,
            "streams must not contain the reserved labels __backfill__ or __backfill_shard__; set the X-Loki-Backfill-Shard header to mark a push as backfill data",
        ),
        (
            request(PROTOBUF, snappy_body(vec![good().remove(0), stream("{}", vec![entry(1, "l", &[("..", "v")])])])),
            400,
            "structured metadata name \"..\" is invalid: it needs a letter or a digit",
        ),
        (request(JSON, "x".repeat(1001)), 413, "request body too large: the compressed body exceeds the limit of 1000 bytes"),
        (request(PROTOBUF, crate::testkit::snappy(&[0; 2001])), 413, "request body too large: the decompressed body exceeds the limit of 2000 bytes"),
        (
            PushRequest { content_encoding: Some("gzip"), ..request(JSON, gzip(&[b' '; 2001])) },
            413,
            "request body too large: the decompressed body exceeds the limit of 2000 bytes",
        ),
        (with(&format!("{{a=\"{}\"}}", "x".repeat(100))), 413, "request body too large: the label text of one stream exceeds the limit of 100 bytes"),
    ] {
        assert_eq!(answer(small.clone(), request).await, (status, format!("{text}\n"), 0));
    }
}

#[tokio::test]
async fn a_tenant_that_sends_too_much_is_told_when_to_come_back() {
    let limits = IngestLimits { ingestion_rate: std::num::NonZeroU64::new(4), ingestion_burst: 10, discover: false, ..IngestLimits::default() };
    let (ingester, faults) = ingester(limits);
    let push = |line: &str, tenant: &str| {
        let body = format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[["1","{line}"],["2","{line}"]]}}]}}"#);
        PushRequest { tenant: schema::TenantId::parse(tenant).unwrap(), ..request(JSON, body) }
    };
    assert_eq!(handle_push(&ingester, push("1234", "a")).await.status, 204);
    let refused = handle_push(&ingester, push("12345", "a")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.body,
        "ingestion rate limit exceeded for user a (limit: 4 bytes/sec) while attempting to ingest '2' lines totaling '10' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased\n"
    );
    // The clock stands still; 8 bytes are missing, which take two seconds.
    assert!(refused.headers.contains(&(RETRY_AFTER, HeaderValue::from_static("3"))), "{:?}", refused.headers);
    assert_eq!(handle_push(&ingester, push("1234", "b")).await.status, 204, "another tenant has its own rate");
    assert_eq!(faults.requests().len(), 2);
    let mut metrics = String::new();
    ingester.metrics().render_prometheus(&mut metrics);
    assert!(metrics.contains("tarn_discarded_samples_total{reason=\"rate_limited\"} 2\n"), "{metrics}");
    assert!(metrics.contains("tarn_discarded_bytes_total{reason=\"rate_limited\"} 10\n"), "{metrics}");
}

#[tokio::test]
async fn good_entries_are_stored_beside_refused_ones() {
    let hour = std::time::Duration::from_secs(3600);
    let limits = IngestLimits {
        max_line_size: 5,
        max_label_names_per_series: 2,
        max_label_name_length: 12,
        max_label_value_length: 8,
        max_structured_metadata_size: 20,
        max_structured_metadata_entries_count: 2,
        reject_old_samples_max_age: Some(hour),
        creation_grace_period: Some(hour),
        ..IngestLimits::default()
    };
    // The clock stands at 2023-11-14T22:13:20Z.
    let now = 1_700_000_000_000_000_000;
    let ok = || entry(now, "fine", &[]);
    let x = r#"{app="x"}"#;
    let shown = r#"{app="x", service_name="x"}"#;
    for (refused, text, reason) in [
        (
            stream(x, vec![entry(now, "123456", &[]), ok()]),
            format!("max entry size '5' bytes exceeded for stream '{shown}' while adding an entry with length '6' bytes"),
            "line_too_long",
        ),
        (
            stream(x, vec![entry(now - 3_601_000_000_000, "a", &[]), ok()]),
            format!("entry for stream '{shown}' has timestamp too old: 2023-11-14T21:13:19Z, oldest acceptable timestamp is: 2023-11-14T21:13:20Z"),
            "greater_than_max_sample_age",
        ),
        (
            stream(x, vec![entry(now + 3_601_000_000_000, "a", &[]), ok()]),
            format!("entry for stream '{shown}' has timestamp too new: 2023-11-14T23:13:21Z"),
            "too_far_in_future",
        ),
        (
            stream(r#"{app="x", b="1", c="2"}"#, vec![ok()]),
            r#"entry for stream '{app="x", b="1", c="2", service_name="x"}' has 3 label names; limit 2"#.to_owned(),
            "max_label_names_per_series",
        ),
        (
            stream(r#"{app="x", abcdefghijklm="1"}"#, vec![ok(), ok()]),
            r#"stream '{abcdefghijklm="1", app="x", service_name="x"}' has label name too long: 'abcdefghijklm'"#.to_owned(),
            "label_name_too_long",
        ),
        (
            stream(r#"{app="x", b="123456789"}"#, vec![ok()]),
            r#"stream '{app="x", b="123456789", service_name="x"}' has label value too long: '123456789'"#.to_owned(),
            "label_value_too_long",
        ),
        (stream(r#"{app="x", app="y"}"#, vec![ok()]), r#"stream '{app="x", app="y"}' has duplicate label name: 'app'"#.to_owned(), "duplicate_label_names"),
        (
            stream(x, vec![entry(now, "a", &[("key", "0123456789abcdefgh")]), ok()]),
            format!(
                "stream '{shown}' has structured metadata too large: '21' bytes, limit: '20' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it"
            ),
            "structured_metadata_too_large",
        ),
        (
            stream(x, vec![entry(now, "a", &[("a", ""), ("b", ""), ("c", "")]), ok()]),
            format!(
                "stream '{shown}' has too many structured metadata labels: '3', limit: '2'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it"
            ),
            "structured_metadata_too_many",
        ),
    ] {
        let (ingester, faults) = ingester(limits.clone());
        let response = handle_push(&ingester, request(PROTOBUF, snappy_body(vec![refused, stream(r#"{app="z"}"#, vec![ok()])]))).await;
        assert_eq!((response.status.as_u16(), response.body), (400, format!("{text}\n")));
        assert_eq!(faults.requests().len(), 1, "{text}");
        let mut metrics = String::new();
        ingester.metrics().render_prometheus(&mut metrics);
        let lines = if reason == "label_name_too_long" { 2 } else { 1 };
        assert!(metrics.contains(&format!("tarn_discarded_samples_total{{reason=\"{reason}\"}} {lines}\n")), "{metrics}");
    }
}

#[tokio::test]
async fn several_errors_are_grouped_and_plain_text() {
    let (ingester, faults) = ingester(IngestLimits { max_line_size: 3, ..IngestLimits::default() });
    let streams = vec![stream(r#"{app="x"}"#, vec![entry(1, "1234", &[]), entry(2, "4321", &[]), entry(3, "12345", &[])])];
    let response = handle_push(&ingester, request(PROTOBUF, snappy_body(streams))).await;
    let message =
        |length| format!("max entry size '3' bytes exceeded for stream '{{app=\"x\", service_name=\"x\"}}' while adding an entry with length '{length}' bytes");
    assert_eq!(response.body, format!("2 errors like: {}; 1 errors like: {}\n", message(4), message(5)));
    let header = |name| response.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_str().unwrap());
    assert_eq!((header(CONTENT_TYPE), header(X_CONTENT_TYPE_OPTIONS), header(RETRY_AFTER)), (Some("text/plain; charset=utf-8"), Some("nosniff"), None));
    assert_eq!(faults.requests().len(), 0);
}

#[tokio::test]
async fn a_store_that_fails_is_503_with_retry_after() {
    let (ingester, faults) = ingester(IngestLimits::default());
    faults.halt_after(Some(0));
    let response = handle_push(&ingester, request(PROTOBUF, snappy_body(good()))).await;
    assert_eq!(response.status, 503);
    assert!(response.body.starts_with("push not stored, retry it: writing the object failed: "), "{}", response.body);
    assert!(response.headers.contains(&(RETRY_AFTER, HeaderValue::from_static("1"))));
    faults.halt_after(None);
    assert_eq!(handle_push(&ingester, request(PROTOBUF, snappy_body(good()))).await.status, 204);
    let mut metrics = String::new();
    ingester.metrics().render_prometheus(&mut metrics);
    for line in ["tarn_ingest_lines_received_total 1", "tarn_ingest_pushes_total{status=\"503\"} 1", "tarn_ingest_pushes_total{status=\"204\"} 1"] {
        assert!(metrics.lines().any(|l| l == line), "{metrics}");
    }
}

#[tokio::test]
async fn large_bodies_are_decoded_elsewhere_with_the_same_result() {
    let entries = (0..5000).map(|i| entry(i, &format!("line {i} of a push that is larger than what is decoded at once"), &[])).collect();
    let request = PushRequest { backfill_shard: Some("3"), ..request(PROTOBUF, snappy_body(vec![stream(r#"{app="x"}"#, entries)])) };
    assert_eq!(answer(IngestLimits::default(), request).await, (204, String::new(), 1));
}
