//! Start, readiness and the routes that look around.

use std::time::Duration;

use crate::support::{Server, run, stderr};

#[tokio::test]
async fn ready_at_once_with_every_role() {
    let server = Server::start(&[]).await;
    assert!(server.started_in < Duration::from_secs(5), "{:?}", server.started_in);
    assert_eq!(server.get("/ready").await.text().await.unwrap(), "ready\n");
    assert_eq!(server.get("/services").await.text().await.unwrap(), "server => Running\ningest => Running\nquery => Running\ncompactor => Running\n");
    let info: serde_json::Value = serde_json::from_str(&server.get("/loki/api/v1/status/buildinfo").await.text().await.unwrap()).unwrap();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    for key in ["revision", "branch", "buildUser", "buildDate", "goVersion"] {
        assert!(info[key].is_string(), "{key}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets() {
    let server = Server::start(&[("TARN_LIMITS_MAX_LINE_SIZE", "1KB"), ("AWS_SECRET_ACCESS_KEY", "hush-hush")]).await;
    let response = server.get("/config").await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    let yaml = response.text().await.unwrap();
    assert!(yaml.contains("\nlimits:\n  max_line_size: 1024\n") && !yaml.contains("hush-hush"), "{yaml}");
}

#[tokio::test]
async fn the_log_level_can_be_changed() {
    let server = Server::start(&[]).await;
    let level = || async { server.get("/log_level").await.text().await.unwrap() };
    assert_eq!(level().await, "{\"message\":\"Current log level is info\"}\n");
    assert!(!server.log.lock().unwrap().contains("DEBUG"));
    let url = server.at("/log_level");
    let post = |body: &'static str| {
        let request = crate::support::client().post(&url).body(body).send();
        async { request.await.unwrap() }
    };
    let set = post("log_level=debug").await;
    assert_eq!((set.status().as_u16(), set.text().await.unwrap().as_str()), (200, "{\"message\":\"Log level set to debug\",\"status\":\"success\"}\n"));
    assert_eq!(level().await, "{\"message\":\"Current log level is debug\"}\n");
    // A thread of its own copies the log.
    let clock = store::env::Env::system();
    while !server.log.lock().unwrap().contains("DEBUG") {
        assert!(clock.monotonic() < Duration::from_secs(30), "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = post("log_level=a=b=c").await;
    assert_eq!(
        (refused.status().as_u16(), refused.text().await.unwrap().as_str()),
        (400, "{\"message\":\"unrecognized log level \\\"a=b=c\\\"\",\"status\":\"failed\"}\n")
    );
}

#[tokio::test]
async fn limits_are_told_to_clients() {
    let server = Server::start(&[("TARN_LIMITS_MAX_ENTRIES_LIMIT_PER_QUERY", "77")]).await;
    let told: serde_json::Value = serde_json::from_str(&server.get("/loki/api/v1/drilldown-limits").await.text().await.unwrap()).unwrap();
    assert_eq!((&told["limits"]["max_entries_limit_per_query"], &told["limits"]["retention_period"]), (&77.into(), &"0s".into()));
    assert_eq!(told["pattern_ingester_enabled"], true);
    assert!(server.get("/config/tenant/v1/limits").await.text().await.unwrap().contains("\nmax_entries_limit_per_query: 77\n"));
    assert_eq!(server.get("/config?mode=diff").await.text().await.unwrap().lines().last(), Some("  max_entries_limit_per_query: 77"));
    assert!(server.get("/config?mode=defaults").await.text().await.unwrap().contains("  max_entries_limit_per_query: 5000\n"));
    assert_eq!(server.get("/config?mode=x").await.status(), 400);
}

#[tokio::test]
async fn a_role_serves_only_its_routes() {
    let server = Server::start(&[("TARN_ROLE", "ingest")]).await;
    assert_eq!(server.push(crate::support::json_push(&[("a", "b")], &[(1, "x")])).await.status(), 204);
    assert_eq!(server.get("/loki/api/v1/labels").await.status(), 404);
    let server = Server::start(&[("TARN_ROLE", "query")]).await;
    assert_eq!(server.push(crate::support::json_push(&[("a", "b")], &[(1, "x")])).await.status(), 404);
}

#[test]
fn a_folder_that_is_no_store_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.doc"), "do not touch").unwrap();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--store", folder.path().to_str().unwrap()], &[], b"");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("thesis.doc") && text.contains("--store"), "{text}");
}

#[test]
fn a_store_url_that_cannot_work_ends_the_process() {
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--store", "gopher://x"], &[], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("gopher://x"), "{}", stderr(&output));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--store", "memory:", "--listen", &address], &[], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot listen on {address}")) && stderr(&output).contains("--listen"), "{}", stderr(&output));
}
