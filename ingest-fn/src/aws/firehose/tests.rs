use std::io::Write as _;

use base64::Engine as _;
use schema::IngestLimits;
use store::testing::FaultyStore;
use store::{Env, ObjectClient};

use super::*;
use crate::commit::GroupCommitSettings;
use crate::testkit::show;

const NOW: Timestamp = Timestamp(1_578_090_903_599_000_000);
const ID: &str = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";

fn ingester(limits: IngestLimits) -> (Ingester, FaultyStore) {
    let env = Env::fixed(NOW);
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
    let settings = GroupCommitSettings { direct: true, ..GroupCommitSettings::default() };
    (Ingester::new(client, env, limits, settings), faults)
}

fn base64_of(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn body(records: &[String]) -> String {
    let records: Vec<_> = records.iter().map(|data| json!({ "data": data })).collect();
    json!({ "requestId": ID, "timestamp": 1_578_090_901_599_i64, "records": records }).to_string()
}

fn request(body: impl Into<Bytes>) -> FirehoseRequest {
    FirehoseRequest {
        request_id: Some(ID.to_owned()),
        source_arn: Some("arn:aws:firehose:us-east-1:123456789012:deliverystream/testStream".to_owned()),
        common_attributes: Some(r#"{"commonAttributes":{"deployment":"x","lbl_env":"prod","lbl_1":"no name"}}"#.to_owned()),
        content_encoding: None,
        body: body.into(),
        tenant: TenantId::parse("t1").unwrap(),
    }
}

async fn answer(limits: IngestLimits, request: FirehoseRequest) -> (u16, serde_json::Value, usize) {
    let (ingester, faults) = ingester(limits.clone());
    let response = handle_firehose(&ingester, &Settings::new(TenantId::default_tenant(), limits), request).await;
    assert_eq!(response.headers, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    (response.status.as_u16(), serde_json::from_str(&response.body).unwrap(), faults.requests().len())
}

#[tokio::test]
async fn success_is_exactly_200_with_the_request_id() {
    let ok = json!({ "requestId": ID, "timestamp": 1_578_090_903_599_i64 });
    let plain = body(&[base64_of(b"one\ntwo"), base64_of(b"{\"a\":1}")]);
    assert_eq!(answer(IngestLimits::default(), request(plain.clone())).await, (200, ok.clone(), 1));
    let compressed = FirehoseRequest { content_encoding: Some("gzip".to_owned()), ..request(gzip(plain.as_bytes())) };
    assert_eq!(answer(IngestLimits::default(), compressed).await, (200, ok.clone(), 1));
    let without_header = FirehoseRequest { request_id: None, ..request(plain) };
    assert_eq!(answer(IngestLimits::default(), without_header).await, (200, ok.clone(), 1));
    assert_eq!(answer(IngestLimits::default(), request(body(&[]))).await, (200, ok, 0));
}

#[tokio::test]
async fn everything_else_says_what_is_wrong() {
    let good = base64_of(b"one");
    let small = IngestLimits { max_body_bytes: 10, ..IngestLimits::default() };
    for (limits, request, status, message, requests) in [
        (IngestLimits::default(), request("x"), 400, "the body is not a Firehose request: expected value at line 1 column 1", 0),
        (
            IngestLimits::default(),
            FirehoseRequest { request_id: Some("other".to_owned()), ..request(body(&[])) },
            400,
            "the header X-Amz-Firehose-Request-Id and the body's requestId differ",
            0,
        ),
        (
            IngestLimits::default(),
            FirehoseRequest { request_id: None, ..request(r#"{"records":[]}"#) },
            400,
            "the request has no id: the header X-Amz-Firehose-Request-Id and the body's requestId are missing",
            0,
        ),
        // The good record is stored: the backup bucket will hold both.
        (
            IngestLimits::default(),
            request(body(&[good.clone(), "!".to_owned()])),
            400,
            "1 of 2 records cannot be read; record 1: records[1].data is not base64: Invalid symbol 33, offset 0.",
            1,
        ),
        (small, request(body(std::slice::from_ref(&good))), 413, "request body too large: the compressed body exceeds the limit of 10 bytes", 0),
        (
            IngestLimits::default(),
            FirehoseRequest { content_encoding: Some("br".to_owned()), ..request(body(&[])) },
            400,
            "Content-Encoding \"br\" not supported",
            0,
        ),
        (
            IngestLimits::default(),
            FirehoseRequest { common_attributes: Some("{}".to_owned()), ..request(body(&[])) },
            400,
            "the header X-Amz-Firehose-Common-Attributes is not {\"commonAttributes\":{...}}: missing field `commonAttributes` at line 1 column 2",
            0,
        ),
    ] {
        let id = request.request_id.clone().unwrap_or_default();
        let (got, json, made) = answer(limits, request).await;
        assert_eq!((got, json["errorMessage"].as_str().unwrap(), made), (status, message, requests));
        assert_eq!(json["requestId"], id.as_str());
        assert!(json["timestamp"].is_i64());
    }
}

#[tokio::test]
async fn a_failed_store_is_503() {
    let (ingester, faults) = ingester(IngestLimits::default());
    faults.halt_after(Some(0));
    let settings = Settings::new(TenantId::default_tenant(), IngestLimits::default());
    let response = handle_firehose(&ingester, &settings, request(body(&[base64_of(b"one")]))).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.body.contains("\"errorMessage\":\"push not stored, retry it"), "{}", response.body);
}

#[test]
fn rows_of_every_kind_of_record() {
    let message = |text: &str| {
        let event = json!({ "id": "1", "timestamp": 1_440_442_987_000_i64, "message": text });
        json!({ "messageType": "DATA_MESSAGE", "owner": "123456789123", "logGroup": "g", "logStream": "s", "logEvents": [event] }).to_string()
    };
    let records = [base64_of(b"one\none"), base64_of(&gzip(message("m").as_bytes())), base64_of(message("m").as_bytes()), base64_of(b"one")];
    let settings = Settings::new(TenantId::parse("t1").unwrap(), IngestLimits { discover: false, ..IngestLimits::default() });
    let inline = decode(&settings, &request(body(&records)), NOW).1.unwrap().1;
    let firehose = format!(
        "{{account_id=\"123456789012\", env=\"prod\", log_type=\"firehose\", region=\"us-east-1\", service_name=\"testStream\", stream=\"testStream\"}} 1578090901599000000 \"one\" {{firehose_request_id={ID:?}"
    );
    let cloudwatch = "{account_id=\"123456789123\", env=\"prod\", log_group=\"g\", log_type=\"cloudwatch\", region=\"us-east-1\", service_name=\"g\"} 1440442987000000000 \"m\" {log_stream=\"s\"}";
    // CloudWatch's copy of a message is the same by whichever record it comes.
    let expected = format!("{firehose}}}\n{firehose}, duplicate=\"1\"}}\n{firehose}, duplicate=\"2\"}}\n{cloudwatch}\n{cloudwatch}\n");
    assert_eq!(inline.batches.iter().map(|batch| show(&batch.rows)).collect::<String>(), expected);
    assert_eq!(inline.failures, []);
}

#[test]
fn access_keys() {
    for (presented, expected, same) in
        [(Some("secret"), "secret", true), (Some("secreT"), "secret", false), (Some("secret1"), "secret", false), (None, "secret", false)]
    {
        assert_eq!(access_key_matches(presented, expected), same, "{presented:?}");
    }
}
