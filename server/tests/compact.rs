//! Compaction on a schedule.

use std::time::Duration;

use serde_json::Value;
use store::env::Env;

use crate::support::{Server, THEN, json_push};

const PATIENCE: Duration = Duration::from_secs(60);
/// A minute, in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// All that the tenant `fake` has, as the server answers it.
async fn everything(server: &Server) -> Value {
    let path = format!("/loki/api/v1/query_range?query=%7Bapp%3D~%22.%2B%22%7D&limit=5000&start={}&end={}", THEN - MINUTE, THEN + 60 * MINUTE);
    let answer: Value = serde_json::from_str(&server.get(&path).await.text().await.unwrap()).unwrap();
    let mut streams: Vec<Value> = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    streams.sort_by_key(|stream| stream["stream"].to_string());
    Value::Array(streams)
}

async fn metric(server: &Server, series: &str) -> u64 {
    let text = server.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.trim().parse().unwrap()
}

/// Waits until `reached`, asking again and again.
macro_rules! wait_until {
    ($server:expr, $reached:expr) => {
        let clock = Env::system();
        while !$reached {
            assert!(clock.monotonic() < PATIENCE, "waited in vain for {}\n{}", stringify!($reached), $server.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
}

async fn push_some(server: &Server, pushes: i64) {
    for n in 0..pushes {
        for app in ["a", "b"] {
            let at = THEN + n * 1_000_000;
            let push = json_push(&[("app", app)], &[(at, &format!("line {n} of {app}")), (at + 1, "the same in all")]);
            assert_eq!(server.push(push).await.status(), 204);
        }
    }
}

#[tokio::test]
async fn the_schedule_compacts_and_no_answer_changes() {
    let server = Server::start(&[("TARN_COMPACTOR_INTERVAL", "1s"), ("TARN_COMPACTOR_GRACE", "2s"), ("TARN_INGEST_FLUSH_INTERVAL", "10ms")]).await;
    push_some(&server, 5).await;
    let before = everything(&server).await;
    assert_eq!(before.as_array().unwrap().iter().map(|stream| stream["values"].as_array().unwrap().len()).sum::<usize>(), 20);
    wait_until!(server, {
        assert_eq!(everything(&server).await, before);
        metric(&server, "tarn_compactor_jobs_total").await > 0 && metric(&server, "tarn_compactor_level0_backlog").await == 0
    });
    wait_until!(server, {
        assert_eq!(everything(&server).await, before);
        server.stored_rows("fake") == 0
    });
    assert_eq!(everything(&server).await, before);
    assert!(metric(&server, "tarn_compactor_rows_written_total").await >= 20);
    assert!(metric(&server, "tarn_compactor_objects_deleted_total").await > 0);
    assert!(metric(&server, "tarn_compactor_last_success_timestamp_seconds").await > 1_700_000_000);
    assert_eq!(metric(&server, r#"tarn_compactor_runs_total{result="error"}"#).await, 0);
    // A push after the compaction of its day is seen, and compacted too.
    assert_eq!(server.push(json_push(&[("app", "late")], &[(THEN, "late")])).await.status(), 204);
    let with_late = everything(&server).await;
    assert_eq!(with_late.as_array().unwrap().len(), 3);
    wait_until!(server, server.stored_rows("fake") == 0);
    assert_eq!(everything(&server).await, with_late);
}

#[tokio::test]
async fn a_tenant_that_fails_is_counted_and_stops_nobody_else() {
    let server = Server::start(&[("TARN_COMPACTOR_INTERVAL", "1s"), ("TARN_INGEST_FLUSH_INTERVAL", "10ms")]).await;
    let foreign = server.store.join("t=aaa/l0/0");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("README"), "no chunk").unwrap();
    push_some(&server, 2).await;
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="error"}"#).await > 1 && metric(&server, "tarn_compactor_jobs_total").await > 0);
    assert_eq!(server.get("/ready").await.status(), 200);
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("compaction of a tenant failed") && log.contains("tenant=aaa") && log.contains("README"), "{log}");
    std::fs::remove_file(foreign.join("README")).unwrap();
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await > 0);
}

#[tokio::test]
async fn a_compactor_alone_does_nothing_else() {
    let mut server = Server::start(&[("TARN_ROLE", "compactor"), ("TARN_COMPACTOR_INTERVAL", "200ms")]).await;
    assert_eq!(server.get("/services").await.text().await.unwrap(), "server => Running\ncompactor => Running\n");
    assert_eq!(server.push(json_push(&[("a", "b")], &[(1, "x")])).await.status(), 404);
    assert_eq!(server.get("/loki/api/v1/labels").await.status(), 404);
    wait_until!(server, metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await > 1);
    server.signal("TERM");
    assert!(server.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn a_schedule_can_be_switched_off() {
    let server = Server::start(&[("TARN_COMPACTOR_ENABLED", "false"), ("TARN_COMPACTOR_INTERVAL", "100ms"), ("TARN_COMPACTOR_RETENTION_PERIOD", "48h")]).await;
    push_some(&server, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metric(&server, r#"tarn_compactor_runs_total{result="ok"}"#).await, 0);
    assert_eq!(server.stored_rows("fake"), 4);
    let told: Value = serde_json::from_str(&server.get("/loki/api/v1/drilldown-limits").await.text().await.unwrap()).unwrap();
    assert_eq!(told["limits"]["retention_period"], "48h");
    assert!(server.get("/config/tenant/v1/limits").await.text().await.unwrap().contains("\nretention_period: 48h\n"));
}
