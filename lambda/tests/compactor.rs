//! Runs of the compactor function.

use std::time::Duration;

use serde_json::json;

use crate::support::{Lambda, lines, objects, push, query, stalled_s3};

#[tokio::test]
async fn a_run_merges_what_was_pushed_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingest = Lambda::ingest(folder.path(), &[]).await;
    for line in ["one", "two", "three"] {
        assert_eq!(ingest.invoke(&push(&[line])).await.json()["statusCode"], 204);
    }
    let mut compactor = Lambda::compactor(folder.path(), &[]).await;
    let scheduled =
        json!({"version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}});
    let report = compactor.invoke(&scheduled).await.json();
    assert_eq!((report["complete"].clone(), report["level0_consumed"].clone(), report["rows_written"].clone()), (json!(true), json!(3), json!(3)), "{report}");
    assert!(objects(folder.path()).contains(&"tarn.json".to_owned()));
    assert!(objects(folder.path()).iter().any(|object| object.starts_with("t=team-a/l1/")));
    let again = compactor.invoke(&json!({"tenant": "team-a"})).await.json();
    assert_eq!((again["complete"].clone(), again["level0_consumed"].clone()), (json!(true), json!(0)), "{again}");
    let mut reader = Lambda::query(folder.path(), &[]).await;
    let mut found = lines(&reader.invoke(&query(r#"{app="api"}"#, "")).await.json());
    found.sort();
    assert_eq!(found, ["one", "three", "two"]);
}

#[tokio::test]
async fn a_run_that_cannot_end_says_so_before_it_is_killed() {
    let endpoint = stalled_s3().await;
    let env = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let mut compactor = Lambda::start(env!("CARGO_BIN_EXE_tarn-lambda-compactor"), "s3://bucket", &env).await;
    let report = compactor.invoke_within(&json!({}), Duration::from_secs(2)).await.json();
    assert_eq!((report["complete"].clone(), report["cut_off"].clone(), report["jobs"].clone()), (json!(false), json!(true), json!(0)), "{report}");
}

#[tokio::test]
async fn a_failure_is_an_error_of_the_function() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tarn.json"), r#"{"format_version": 999}"#).unwrap();
    let mut compactor = Lambda::compactor(folder.path(), &[]).await;
    let error = compactor.invoke(&json!({})).await;
    assert!(error.error()["errorMessage"].as_str().unwrap().contains("999"), "{error:?}");
    assert_eq!(compactor.invoke(&json!({"tenant": "../x"})).await.error()["errorType"], "Event");
}
