//! Each outcome with its status, headers and body, spelled byte by byte from the `.proto` files or as JSON.

use std::io::Write as _;

use schema::IngestLimits;
use store::testing::FaultyStore;
use store::{Env, ObjectClient};

use super::*;
use crate::commit::GroupCommitSettings;
use crate::request::PushFormat;
use crate::testkit::request;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// One record with the line "hello world".
const GOOD: &[u8] = b"\x0a\x15\x12\x13\x12\x11\x2a\x0f\x0a\x0bhello world\x2a\x00";
const GOOD_JSON: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello world"}}]}]}]}"#;

fn ingester(limits: IngestLimits) -> (Ingester, FaultyStore) {
    let env = Env::fixed(schema::Timestamp(1_700_000_000_000_000_000));
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
    let settings = GroupCommitSettings { direct: true, ..GroupCommitSettings::default() };
    (Ingester::new(client, env, limits, settings), faults)
}

fn otlp(content_type: &'static str, encoding: Option<&'static str>, body: impl Into<Bytes>) -> PushRequest<'static> {
    PushRequest { content_encoding: encoding, format: PushFormat::Otlp, ..request(content_type, body) }
}

async fn answer_of(limits: IngestLimits, request: PushRequest<'_>) -> (u16, Option<String>, Vec<u8>, usize) {
    let (ingester, faults) = ingester(limits);
    let (head, body) = handle_otlp(&ingester, request).await.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    (head.status.as_u16(), content_type, body.to_vec(), faults.requests().len())
}

#[tokio::test]
async fn every_encoding_is_204_and_one_request() {
    let gzip = |data: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = |data: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let lz4 = |data: &[u8]| {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let framed = |data: &[u8]| {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(data).unwrap();
        encoder.into_inner().unwrap()
    };
    for request in [
        otlp(PROTOBUF, None, GOOD),
        otlp("application/x-protobuf; charset=x", Some(""), GOOD),
        otlp(PROTOBUF, Some("none"), GOOD),
        otlp(PROTOBUF, Some("gzip"), gzip(GOOD)),
        otlp(PROTOBUF, Some("deflate"), zlib(GOOD)),
        otlp(PROTOBUF, Some("zlib"), zlib(GOOD)),
        otlp(PROTOBUF, Some("zstd"), zstd::encode_all(GOOD, 1).unwrap()),
        otlp(PROTOBUF, Some("lz4"), lz4(GOOD)),
        otlp(PROTOBUF, Some("snappy"), crate::testkit::snappy(GOOD)),
        otlp(PROTOBUF, Some("snappy"), framed(GOOD)),
        otlp(PROTOBUF, Some("x-snappy-framed"), framed(GOOD)),
        otlp(JSON, None, GOOD_JSON),
        otlp(JSON, Some("gzip"), gzip(GOOD_JSON.as_bytes())),
        otlp(JSON, Some("snappy"), crate::testkit::snappy(GOOD_JSON.as_bytes())),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(answer_of(IngestLimits::default(), request).await, (204, None, Vec::new(), 1), "{shown}");
    }
}

#[tokio::test]
async fn errors_are_a_status_in_the_format_of_the_request() {
    let status = |message: &str| [&[0x12, u8::try_from(message.len()).unwrap()], message.as_bytes()].concat();
    for (request, code, media_type, body) in [
        (
            otlp("text/plain", None, GOOD),
            400,
            PROTOBUF,
            status("content type: text/plain is not supported: only application/x-protobuf and application/json are"),
        ),
        (
            otlp(PROTOBUF, Some("br"), GOOD),
            400,
            PROTOBUF,
            status("unsupported content encoding br: only gzip, deflate, zlib, zstd, lz4, snappy and x-snappy-framed are supported"),
        ),
        (otlp(PROTOBUF, None, &b"\x0a\x05"[..]), 400, PROTOBUF, status("malformed protobuf: length past the end at byte 2")),
        (otlp(PROTOBUF, None, &b""[..]), 422, PROTOBUF, status("error at least one valid stream is required for ingestion")),
        (otlp(JSON, None, "{"), 400, JSON, br#"{"message":"malformed JSON: expected a key at byte 1"}"#.to_vec()),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(answer_of(IngestLimits::default(), request).await, (code, Some(media_type.to_owned()), body, 0), "{shown}");
    }
    let small = IngestLimits { max_body_bytes: 10, ..IngestLimits::default() };
    assert_eq!(answer_of(small, otlp(PROTOBUF, None, GOOD)).await.0, 413);
}

#[tokio::test]
async fn refused_records_are_counted_and_the_others_stored() {
    let limits = IngestLimits { max_line_size: 12, ..IngestLimits::default() };
    let long = b"\x0a\x17\x12\x15\x12\x13\x2a\x11\x0a\x0fhello hello hey";
    let message = "max entry size '12' bytes exceeded for stream '{service_name=\"unknown_service\"}' while adding an entry with length '15' bytes";
    let both = [GOOD, long].concat();
    let length = u8::try_from(message.len()).unwrap();
    assert_eq!(length, 125, "the length of the whole is 129, which is 0x81 0x01");
    let expected = [&[0x0a, 0x81, 0x01, 0x08, 1, 0x12, length], message.as_bytes()].concat();
    assert_eq!(answer_of(limits.clone(), otlp(PROTOBUF, None, both)).await, (200, Some(PROTOBUF.to_owned()), expected, 1));
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello hello hey"}},{"body":{"stringValue":"hey"}}]}]}]}"#;
    let (status, media_type, body, requests) = answer_of(limits.clone(), otlp(JSON, None, json)).await;
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, media_type.as_deref(), requests), (200, Some(JSON), 1));
    assert_eq!(told, json!({ "partialSuccess": { "rejectedLogRecords": "1", "errorMessage": message } }));
    // Nothing left to store.
    let status = [&[0x12, length], message.as_bytes()].concat();
    assert_eq!(answer_of(limits, otlp(PROTOBUF, None, &long[..])).await, (400, Some(PROTOBUF.to_owned()), status, 0));
}

#[tokio::test]
async fn a_store_that_fails_is_503_with_retry_after() {
    let (ingester, faults) = ingester(IngestLimits::default());
    faults.halt_after(Some(0));
    let response = handle_otlp(&ingester, otlp(PROTOBUF, None, GOOD)).await;
    assert_eq!((response.status().as_u16(), response.headers().get(RETRY_AFTER).unwrap().as_bytes()), (503, &b"1"[..]));
    faults.halt_after(None);
    assert_eq!(handle_otlp(&ingester, otlp(PROTOBUF, None, GOOD)).await.status(), 204);
}

#[test]
fn what_a_retry_can_cure_is_what_exporters_retry() {
    for (from, to, retry) in [(408, 503, true), (500, 503, true), (503, 503, true), (429, 429, true), (401, 401, false), (413, 413, false)] {
        let response = otlp_refusal(StatusCode::from_u16(from).unwrap(), None, "why");
        assert_eq!((response.status().as_u16(), response.headers().contains_key(RETRY_AFTER), &response.body()[..]), (to, retry, &b"\x12\x03why"[..]));
    }
}
