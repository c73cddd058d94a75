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

#[tokio::test]
async fn queries_have_limits_of_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overrides.toml");
    let text =
        "[overrides.small]\nmax_query_bytes_read = 4\nvolume_enabled = false\nrequired_labels = [\"app\"]\nmax_query_cost = 0.25\nmax_query_lookback = \"0\"\n";
    std::fs::write(&path, text).unwrap();
    let server = Server::start(&[("TARN_LIMITS_OVERRIDES_FILE", path.to_str().unwrap()), ("TARN_QUERY_MAX_CONCURRENT", "3")]).await;
    for tenant in ["small", "other"] {
        assert_eq!(push(&server, tenant, "12345").await.status(), 204);
    }
    let get = async |tenant: &str, target: &str| {
        let response = client().get(server.at(target)).header("x-scope-orgid", tenant).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let window = "start=1699999999&end=1700000001";
    let lines = format!("/loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D&{window}");
    let too_many =
        "the query would read too many bytes (query: 5 B, limit: 4 B); consider adding more specific stream selectors or reduce the time range of the query";
    assert_eq!(get("small", &lines).await, (400, too_many.to_owned()));
    assert_eq!(get("other", &lines).await.0, 200);
    let volume = format!("/loki/api/v1/index/volume?query=%7Bapp%3D%22x%22%7D&{window}");
    assert_eq!(get("small", &volume).await, (404, "not found".to_owned()));
    assert_eq!(get("other", &volume).await.0, 200);
    let wide = format!("/loki/api/v1/query_range?query=%7Bservice_name%3D%22x%22%7D&{window}");
    let (status, text) = get("small", &wide).await;
    assert!(status == 400 && text.starts_with("stream selector is missing required matchers [app], labels present in the query were [service_name]"), "{text}");

    let shown = limits(&server, "small").await;
    for line in ["max_query_bytes_read: 4\n", "max_query_cost: 0.25\n", "volume_enabled: false\n", "required_labels: \"app\"\n", "max_concurrent_queries: 24\n"]
    {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
    assert!(limits(&server, "other").await.contains("max_query_bytes_read: 0\nmax_query_cost: 1\n"));
    let (_, drilldown) = get("small", "/loki/api/v1/drilldown-limits").await;
    let drilldown: serde_json::Value = serde_json::from_str(&drilldown).unwrap();
    let of = &drilldown["limits"];
    assert_eq!((&of["volume_enabled"], &of["max_query_bytes_read"], &of["volume_max_series"]), (&false.into(), &4.into(), &1000.into()));
    let (_, metrics) = get("small", "/metrics").await;
    for line in [
        "tarn_queries_refused_total{reason=\"max_query_bytes_read\"} 1\n",
        "tarn_queries_refused_total{reason=\"required_labels\"} 1\n",
        "tarn_queries_in_flight 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is missing");
    }
    let (_, config) = get("small", "/config").await;
    assert!(config.contains("max_concurrent: 3\n") && config.contains("max_outstanding_per_tenant: 256\n"), "{config}");
}
