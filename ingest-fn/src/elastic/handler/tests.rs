//! Whole requests: what is stored, with how many requests to the store, and what is answered.

use std::io::Write as _;

use store::testing::FaultyStore;
use store::{Env, ObjectClient};

use super::*;
use crate::commit::GroupCommitSettings;

fn ingester(limits: IngestLimits) -> (Ingester, FaultyStore) {
    let env = Env::fixed(Timestamp(1_700_000_000_000_000_000));
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
    let settings = GroupCommitSettings { direct: true, ..GroupCommitSettings::default() };
    (Ingester::new(client, env, limits, settings), faults)
}

fn request(method: Method, path: &str, body: impl Into<Bytes>) -> ElasticRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    ElasticRequest { method, path: path.to_owned(), query: query.to_owned(), content_encoding: None, body: body.into(), tenant: TenantId::parse("t1").unwrap() }
}

async fn ask(limits: IngestLimits, request: ElasticRequest) -> (u16, String, usize) {
    let (ingester, faults) = ingester(limits);
    let response = handle_elastic(&ingester, &Arc::new(ElasticSettings::default()), request).await;
    assert!(response.headers.iter().any(|(name, value)| name == "x-elastic-product" && value == "Elasticsearch"));
    (response.status.as_u16(), response.body, faults.requests().len())
}

const TWO: &str = "{\"create\":{\"_index\":\"i\",\"_id\":\"a\"}}\n{\"message\":\"m\"}\n{\"index\":{\"_index\":\"j\",\"_id\":\"b\"}}\n{\"message\":\"n\"}\n";
const STORED: &str = r#"{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":201}}]}"#;
const BRIEF: &str = "/_bulk?filter_path=errors,items.*.error,items.*.status";

#[tokio::test]
async fn a_bulk_request_is_one_request_to_the_store() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(TWO.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    for request in [
        request(Method::POST, BRIEF, TWO),
        request(Method::PUT, BRIEF, TWO.trim_end()),
        request(Method::POST, &format!("/elasticsearch{BRIEF}"), TWO),
        ElasticRequest { content_encoding: Some("gzip".to_owned()), ..request(Method::POST, BRIEF, gzip) },
        ElasticRequest { content_encoding: Some("identity".to_owned()), ..request(Method::POST, BRIEF, TWO.replace('\n', "\r\n")) },
    ] {
        let shown = format!("{request:?}");
        assert_eq!(ask(IngestLimits::default(), request).await, (200, STORED.to_owned(), 1), "{shown}");
    }
    let (_, whole, _) = ask(IngestLimits::default(), request(Method::POST, "/_bulk", TWO)).await;
    assert!(whole.starts_with(r#"{"took":0,"errors":false,"items":[{"create":{"_index":"i","_id":"a","#), "{whole}");
}

#[tokio::test]
async fn nothing_is_acknowledged_that_was_not_stored() {
    let (ingester, faults) = ingester(IngestLimits::default());
    faults.halt_after(Some(0));
    let response = handle_elastic(&ingester, &Arc::new(ElasticSettings::default()), request(Method::POST, "/_bulk", TWO)).await;
    assert_eq!(response.status.as_u16(), 503);
    let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!((&body["status"], &body["error"]["type"]), (&503.into(), &"unavailable_shards_exception".into()));
    assert!(response.headers.iter().any(|(name, _)| name == "retry-after"));
}

#[tokio::test]
async fn requests_that_are_refused_as_a_whole_store_nothing() {
    let small = IngestLimits { max_body_bytes: 100, ..IngestLimits::default() };
    for (request, status, kind) in [
        (request(Method::POST, "/_bulk", TWO), 413, "content_too_long_exception"),
        (request(Method::POST, "/_bulk", ""), 400, "parse_exception"),
        (request(Method::POST, "/_bulk", "\n\n"), 400, "parse_exception"),
        (request(Method::POST, "/_bulk", "{}\n{}\n"), 400, "illegal_argument_exception"),
        (ElasticRequest { content_encoding: Some("br".to_owned()), ..request(Method::POST, "/_bulk", "{}") }, 400, "illegal_argument_exception"),
        (request(Method::POST, "/i/_search", "{}"), 400, "illegal_argument_exception"),
    ] {
        let (got, body, requests) = ask(small.clone(), request).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((got, body["error"]["root_cause"][0]["type"].as_str(), requests), (status, Some(kind), 0), "{body}");
    }
}

#[tokio::test]
async fn a_document_by_itself() {
    let created =
        r#"{"_index":"my index","_id":"7","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1}"#;
    for path in ["/my%20index/_doc/7", "/my%20index/_create/7"] {
        assert_eq!(ask(IngestLimits::default(), request(Method::PUT, path, "{\n \"message\": \"m\"\n}")).await, (201, created.to_owned(), 1));
    }
    let (status, body, _) = ask(IngestLimits::default(), request(Method::POST, "/i/_doc?refresh=true", "{\"message\":\"m\"}")).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["_id"].as_str().map(str::len)), (201, Some(20)));
    let (status, body, requests) = ask(IngestLimits::default(), request(Method::POST, "/i/_doc", "[]")).await;
    assert_eq!((status, requests), (400, 0));
    assert!(body.contains("the document cannot be read: malformed JSON: expected an object at byte 0"), "{body}");
}

#[tokio::test]
async fn good_documents_are_stored_beside_refused_ones_and_both_are_counted() {
    let limits = IngestLimits { max_line_size: 20, ..IngestLimits::default() };
    let body = "{\"index\":{\"_index\":\"i\"}}\n{\"message\":\"short\"}\n{\"index\":{\"_index\":\"i\"}}\n{\"message\":\"0123456789012345678901234\"}\n{\"index\":{\"_index\":\"i\"}}\n[]\n";
    let (ingester, faults) = ingester(limits);
    let response = handle_elastic(&ingester, &Arc::new(ElasticSettings::default()), request(Method::POST, BRIEF, body)).await;
    let answer: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    let statuses: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["index"]["status"].as_u64().unwrap()).collect();
    assert_eq!((response.status.as_u16(), &answer["errors"], statuses, faults.requests().len()), (200, &true.into(), vec![201, 400, 400], 1));
    assert!(answer["items"][1]["index"]["error"]["reason"].as_str().unwrap().starts_with("max entry size '20' bytes exceeded"), "{answer}");
    let mut metrics = String::new();
    ingester.metrics().render_prometheus(&mut metrics);
    for line in [
        "tarn_ingest_lines_received_total 1",
        "tarn_discarded_samples_total{reason=\"line_too_long\"} 1",
        "tarn_discarded_samples_total{reason=\"unreadable_document\"} 1",
        "tarn_ingest_pushes_total{status=\"200\"} 1",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
}
