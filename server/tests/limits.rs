//! Limits of single tenants: out of a file, shown, and changed without a restart.

use std::time::Duration;

use reqwest::Response;
use store::env::Env;

use crate::support::{Server, THEN, client, json_push, run, stderr};

async fn push(server: &Server, tenant: &str, line: &str) -> Response {
    let body = json_push(&[("app", "x")], &[(THEN, line)]);
    let request = client().post(server.at("/loki/api/v1/push")).header("x-scope-orgid", tenant).header("content-type", "application/json");
    request.body(body).send().await.unwrap()
}

async fn limits(server: &Server, tenant: &str) -> String {
    let request = client().get(server.at("/config/tenant/v1/limits")).header("x-scope-orgid", tenant);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn tenants_have_limits_of_their_own_that_change_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overrides.toml");
    std::fs::write(
        &path,
        "[overrides.small]\nmax_line_size = 4\nmax_query_series = 7\n\n[overrides.slow]\ningestion_rate_mb = 0.0001\ningestion_burst_size_mb = 0.0001\n",
    )
    .unwrap();
    let server = Server::start(&[("TARN_LIMITS_OVERRIDES_FILE", path.to_str().unwrap())]).await;

    assert_eq!(push(&server, "other", "12345").await.status(), 204);
    let refused = push(&server, "small", "12345").await;
    assert_eq!(refused.status(), 400);
    let text = refused.text().await.unwrap();
    assert!(text.starts_with("max entry size '4' bytes exceeded for stream '{app=\"x\""), "{text}");
    let (small, other) = (limits(&server, "small").await, limits(&server, "other").await);
    assert!(small.contains("max_line_size: 4\n") && small.contains("max_query_series: 7\n"), "{small}");
    assert!(other.contains("max_line_size: 262144\n") && other.contains("ingestion_rate_mb: 0\n") && !other.contains("overrides_file"), "{other}");

    // 104 bytes at once, and as many a second.
    let refused = push(&server, "slow", &"x".repeat(200)).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let text = refused.text().await.unwrap();
    assert!(text.starts_with("ingestion rate limit exceeded for user slow (limit: 104 bytes/sec) while attempting to ingest '1' lines totaling '"), "{text}");
    assert_eq!(server.stored_rows("slow"), 0);

    // What is wrong is said and changes nothing.
    std::fs::write(&path, "[overrides.small]\nmax_line_sise = 9\n").unwrap();
    let clock = Env::system();
    while !server.log.lock().unwrap().contains("max_line_sise") {
        assert!(clock.monotonic() < Duration::from_secs(30), "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(push(&server, "small", "12345").await.status(), 400);
    std::fs::write(&path, "").unwrap();
    while push(&server, "small", "12345").await.status() != 204 {
        assert!(clock.monotonic() < Duration::from_secs(60), "{}", server.log.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(push(&server, "slow", &"x".repeat(200)).await.status(), 204);
}

#[test]
fn a_wrong_file_is_an_error_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overrides.toml");
    let refused = |setting: &str| {
        let output = run(&["serve", "--store", "memory:", "--listen", "127.0.0.1:0"], &[(setting, path.to_str().unwrap())], b"");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    };
    let missing = refused("TARN_LIMITS_OVERRIDES_FILE");
    assert!(missing.contains("overrides.toml") && missing.contains("limits.overrides_file"), "{missing}");
    std::fs::write(&path, "[overrides.a]\nmax_line_size = \"big\"\n").unwrap();
    let wrong = refused("TARN_LIMITS_OVERRIDES_FILE");
    assert!(wrong.contains("tenant \"a\": max_line_size: 'big' is not a size"), "{wrong}");
    std::fs::write(&path, "[[tokens]]\nname = \"a\"\nsecret = \"hunter2\"\n").unwrap();
    let tokens = refused("TARN_AUTH_TOKENS_FILE");
    assert!(tokens.contains("token 1, \"a\": its secret is neither") && !tokens.contains("hunter2"), "{tokens}");
}
