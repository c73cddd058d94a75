//! Pushes and queries through HTTP front ends.

use std::time::Duration;

use serde_json::{Value, json};
use store::Env;

use crate::support::{Lambda, Outcome, function_url, lines, lines_of, objects, push, query, stalled_s3};

#[tokio::test]
async fn what_the_ingest_function_acknowledges_the_query_function_finds() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[]).await;
    let mut reader = Lambda::query(folder.path(), &[]).await;
    assert_eq!(ingest.invoke(&push(&["one", "two"])).await.json()["statusCode"], 204);
    // Nothing but the push was written, and nothing was checked or made.
    let written = objects(folder.path());
    assert!(written.len() == 1 && written[0].starts_with("t=team-a/l0/"), "{written:?}");
    assert_eq!(lines(&reader.invoke(&query(r#"{app="api"}"#, "&direction=forward")).await.json()), ["one", "two"]);
    // A warm function sees what came after its first query; a repeated push is stored once.
    assert_eq!(ingest.invoke(&push(&["three"])).await.json()["statusCode"], 204);
    assert_eq!(ingest.invoke(&push(&["three"])).await.json()["statusCode"], 204);
    assert_eq!(objects(folder.path()).len(), 2, "{:?}", objects(folder.path()));
    assert_eq!(lines(&reader.invoke(&query(r#"{app="api"} |= "t""#, "&direction=forward")).await.json()), ["three", "two"]);
    assert!(lines(&reader.invoke(&query(r#"{app="web"}"#, "")).await.json()).is_empty());
}

#[tokio::test]
async fn the_ingest_function_takes_documents_as_elasticsearch_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[]).await;
    let headers = json!({"content-type": "application/x-ndjson", "x-scope-orgid": "team-a"});
    let banner = ingest.invoke(&function_url("GET", "/elasticsearch/", "", headers.clone(), None)).await.json();
    assert_eq!((&banner["statusCode"], &banner["headers"]["x-elastic-product"]), (&json!(200), &json!("Elasticsearch")));
    assert!(objects(folder.path()).is_empty());
    let documents =
        "{\"create\":{\"_index\":\"i\"}}\n{\"@timestamp\":1700000000000,\"message\":\"one\",\"app\":\"api\"}\n{\"create\":{\"_index\":\"i\"}}\n[]\n";
    let answer = ingest.invoke(&function_url("POST", "/elasticsearch/_bulk", "filter_path=errors,items.*.status", headers, Some(documents))).await.json();
    let items = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400}}]}"#;
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!(items)));
    assert_eq!(objects(folder.path()).len(), 1);
    let mut reader = Lambda::query(folder.path(), &[]).await;
    assert_eq!(lines(&reader.invoke(&query(r#"{app="api", index="i"}"#, "")).await.json()), ["one"]);
}

#[tokio::test]
async fn refusals_reach_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[("TARN_AUTH_ENABLED", "true"), ("TARN_LIMITS_MAX_BODY_BYTES", "100")]).await;
    let answer = |outcome: Outcome| (outcome.json()["statusCode"].clone(), outcome.json()["body"].as_str().unwrap().to_owned());
    let json_type = json!({"content-type": "application/json", "x-scope-orgid": "a"});
    let (status, text) = answer(ingest.invoke(&function_url("POST", "/loki/api/v1/push", "", json_type.clone(), Some("{"))).await);
    assert_eq!(status, 400, "{text}");
    let (status, text) = answer(ingest.invoke(&function_url("POST", "/loki/api/v1/push", "", json!({}), Some("{}"))).await);
    assert_eq!((status, text.as_str()), (json!(401), "no org id\n"));
    let (status, text) = answer(ingest.invoke(&function_url("POST", "/loki/api/v1/push", "", json_type, Some(&"x".repeat(101)))).await);
    assert_eq!(status, 413);
    assert!(text.contains("the limit is 100 bytes") && text.contains("limits.max_body_bytes"), "{text}");
    // A function has one role.
    let (status, _) = answer(ingest.invoke(&function_url("GET", "/loki/api/v1/query", "", json!({}), None)).await);
    assert_eq!(status, 404);
    assert!(objects(folder.path()).is_empty());
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_an_error_compressed_or_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[]).await;
    // 8 MB in two pushes, since an event may have 6.
    for half in ["a", "b"] {
        let many: Vec<String> = (0..2000).map(|line| format!("{half}{line:05} {}", "0123456789abcdef".repeat(125))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(ingest.invoke(&push(&many)).await.json()["statusCode"], 204);
    }
    let all = query(r#"{app="api"}"#, "&limit=5000");
    let mut reader = Lambda::query(folder.path(), &[]).await;
    let refused = reader.invoke(&all).await.json();
    let text = refused["body"].as_str().unwrap();
    assert!(refused["statusCode"] == 400 && text.contains("6291456 bytes") && text.contains("'limit'"), "{refused}");
    assert_eq!(lines(&reader.invoke(&query(r#"{app="api"}"#, "&limit=100")).await.json()).len(), 100);

    let mut reading_gzip = all.clone();
    reading_gzip["headers"]["accept-encoding"] = json!("gzip, br");
    let compressed = reader.invoke(&reading_gzip).await.json();
    assert_eq!((compressed["statusCode"].clone(), compressed["headers"]["content-encoding"].clone()), (json!(200), json!("gzip")));

    let mut streaming = Lambda::query(folder.path(), &[("TARN_LAMBDA_RESPONSE", "stream")]).await;
    let Outcome::Answer { headers, body } = streaming.invoke(&all).await else { panic!("an error") };
    assert_eq!(headers["lambda-runtime-function-response-mode"], "streaming");
    assert_eq!(headers["content-type"], "application/vnd.awslambda.http-integration-response");
    let end = body.windows(8).position(|bytes| bytes == [0; 8]).unwrap();
    let prelude: Value = serde_json::from_slice(&body[..end]).unwrap();
    assert_eq!((prelude["statusCode"].clone(), prelude["headers"]["content-type"].clone()), (json!(200), json!("application/json; charset=UTF-8")));
    assert_eq!(lines_of(std::str::from_utf8(&body[end + 8..]).unwrap()).len(), 4000);
}

#[tokio::test]
async fn a_query_ends_before_its_function_does() {
    let endpoint = stalled_s3().await;
    let env = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let mut reader = Lambda::start(env!("CARGO_BIN_EXE_tarn-lambda-query"), "s3://bucket/prefix", &env).await;
    let clock = Env::system();
    let answer = reader.invoke_within(&query(r#"{app="api"}"#, ""), Duration::from_secs(2)).await.json();
    let text = answer["body"].as_str().unwrap();
    assert!(answer["statusCode"] == 504 && text.contains("time range") && text.contains("selector") && text.contains("'limit'"), "{answer}");
    assert!(clock.monotonic() >= Duration::from_millis(1500), "it gave up too early: {:?}", clock.monotonic());

    let mut ingest = Lambda::start(env!("CARGO_BIN_EXE_tarn-lambda-ingest"), "s3://bucket/prefix", &env).await;
    let answer = ingest.invoke_within(&push(&["x"]), Duration::from_secs(2)).await.json();
    assert_eq!((answer["statusCode"].clone(), answer["headers"]["retry-after"].clone()), (json!(503), json!("1")), "{answer}");
}

/// A function's URL speaks no WebSocket.
#[tokio::test]
async fn a_tail_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Lambda::query(folder.path(), &[]).await;
    let mut request = query(r#"{app="api"}"#, "");
    request["rawPath"] = json!("/loki/api/v1/tail");
    let answer = reader.invoke(&request).await.json();
    let text = answer["body"].as_str().unwrap();
    assert!(answer["statusCode"] == 501 && text.contains("/loki/api/v1/query_range") && text.contains("tarn serve"), "{answer}");
}

#[tokio::test]
async fn a_deadline_that_is_none_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Lambda::query(folder.path(), &[]).await;
    assert!(lines(&reader.invoke_until(&query(r#"{app="api"}"#, ""), 600_000).await.json()).is_empty());
}

#[tokio::test]
async fn events_of_nobody_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let event = json!({"some": "thing"});
    for mut function in [Lambda::ingest(folder.path(), &[]).await, Lambda::query(folder.path(), &[]).await] {
        assert_eq!(function.invoke(&event).await.error()["errorType"], "UnknownEvent");
    }
}

#[tokio::test]
async fn a_store_of_a_later_version_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tarn.json"), r#"{"format_version": 999}"#).unwrap();
    let mut reader = Lambda::query(folder.path(), &[]).await;
    let answer = reader.invoke(&query(r#"{app="api"}"#, "")).await.json();
    assert!(answer["statusCode"] == 503 && answer["body"].as_str().unwrap().contains("999"), "{answer}");
    let delete = "query=%7Bapp%3D%22api%22%7D&start=1&end=1700000000";
    let answer = reader.invoke(&function_url("POST", "/loki/api/v1/delete", delete, json!({"x-scope-orgid": "team-a"}), None)).await.json();
    assert!(answer["statusCode"] == 503 && answer["body"].as_str().unwrap().contains("999"), "{answer}");
    assert_eq!(objects(folder.path()), ["tarn.json"]);
}
