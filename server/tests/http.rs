//! HTTP itself: unknown paths, wrong methods, redirects, versions, cancellation, metrics.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::support::{Server, THEN, client, json_push, raw};

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let server = Server::start(&[]).await;
    for path in ["/nothing", "/loki/api/v1/nothing", "/loki", "/ready/x"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8", "{path}");
        assert_eq!(response.text().await.unwrap().trim_end(), "404 page not found", "{path}");
    }
    assert_eq!(server.get("/loki/api/v1/push").await.status(), 405);
    for path in ["/ready", "/metrics", "/loki/api/v1/query_range"] {
        assert_eq!(client().delete(server.at(path)).send().await.unwrap().status(), 405, "{path}");
    }
}

#[tokio::test]
async fn deletes_are_asked_for_listed_and_taken_back_by_method() {
    let server = Server::start(&[]).await;
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "x")])).await.status(), 204);
    let lines =
        async || server.get("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start=1699999999&end=1700000001").await.text().await.unwrap().contains(r#""x"]"#);
    assert!(lines().await);
    let asked = client().put(server.at("/loki/api/v1/delete?query=%7Ba%3D%22b%22%7D&start=0000000000")).send().await.unwrap();
    assert_eq!(asked.status(), 204);
    let id = asked.headers()["x-delete-request-id"].to_str().unwrap().to_owned();
    assert!(!lines().await);
    assert!(server.get("/loki/api/v1/delete").await.text().await.unwrap().contains(&id));
    let cancelled = client().delete(server.at(&format!("/loki/api/v1/delete?request_id={id}"))).send().await.unwrap();
    assert_eq!(cancelled.status(), 204);
    assert!(lines().await);
    assert_eq!(client().patch(server.at("/loki/api/v1/delete")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn unclean_paths_are_redirected_as_go_does() {
    let server = Server::start(&[]).await;
    for (path, location) in [
        ("/loki/api/v1/label//values", "/loki/api/v1/label/values"),
        ("/loki/api/v1/label//values?start=1", "/loki/api/v1/label/values?start=1"),
        ("//ready", "/ready"),
        ("/loki/./api/v1/labels", "/loki/api/v1/labels"),
        ("/x/../ready", "/ready"),
    ] {
        let answer = raw(&server, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 301 ") && answer.contains(&format!("location: {location}\r\n")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let server = Server::start(&[]).await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let response = http2.get(server.at("/ready")).send().await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let push = http2.post(server.at("/loki/api/v1/push")).header("content-type", "application/json").body(json_push(&[("a", "b")], &[(THEN, "x")]));
    assert_eq!(push.send().await.unwrap().status(), 204);
    assert_eq!(server.stored_rows("fake"), 1);
}

#[tokio::test]
async fn a_preface_that_arrives_in_pieces_is_waited_for() {
    let server = Server::start(&[]).await;
    let mut stream = tokio::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    for piece in [&b"P"[..], b"U", b"T /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"] {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status() {
    let server = Server::start(&[]).await;
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "x")])).await.status(), 204);
    assert_eq!(server.get("/nothing/1").await.status(), 404);
    assert_eq!(server.get("/nothing/2").await.status(), 404);
    assert_eq!(server.get("/loki/api/v1/push").await.status(), 405);
    let response = server.get("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = response.text().await.unwrap();
    for line in [
        r#"tarn_http_requests_total{route="/loki/api/v1/push",method="POST",status="204"} 1"#,
        r#"tarn_http_requests_total{route="/loki/api/v1/push",method="GET",status="405"} 1"#,
        r#"tarn_http_requests_total{route="other",method="GET",status="404"} 2"#,
        r#"tarn_http_request_duration_seconds_count{route="/loki/api/v1/push"} 2"#,
        "tarn_http_panics_total 0",
        "tarn_http_requests_in_flight 1",
        "tarn_http_body_bytes 0",
        "tarn_ingest_lines_received_total 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("tarn_object_store_requests_total{") && page.contains("process_resident_memory_bytes "), "{page}");
    let mut families: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "a metric is described twice:\n{page}");
}

#[tokio::test]
async fn a_query_ends_when_its_client_leaves() {
    let server = Server::start(&[]).await;
    // One push, so one batch: the work must also end inside of a batch. Milliseconds a row make a minute in all, on any machine far more
    // than this test takes.
    let lines: Vec<(i64, &str)> = (0..20_000).map(|n| (THEN + n * 1000, "abcdefghij")).collect();
    assert_eq!(server.push(json_push(&[("app", "big")], &lines)).await.status(), 204);
    let slow = r#"sum(count_over_time({app="big"} | line_format `{{ regexReplaceAll "[a-e]+[f-j]+" (repeat 10000 __line__) "${0}" }}` |= "abc" [1h]))"#;
    let query = client().get(server.at("/loki/api/v1/query")).query(&[("query", slow), ("time", "1700000100")]).timeout(Duration::from_secs(120));
    let query = tokio::spawn(query.send());
    let clock = store::env::Env::system();
    // The request that asks is one of those in flight.
    wait_for_in_flight(&server, 2).await;
    let before = cpu_seconds(&server).await;
    while cpu_seconds(&server).await - before < 0.3 {
        assert!(!query.is_finished(), "the query is too fast for this test");
        assert!(clock.monotonic() < Duration::from_secs(30), "the query does not run");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    query.abort();
    let left = clock.monotonic();
    wait_for_in_flight(&server, 1).await;
    let took = clock.monotonic() - left;
    assert!(took < Duration::from_secs(2), "the query ran for {took:?} after its client left");
    let before = cpu_seconds(&server).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = cpu_seconds(&server).await - before;
    assert!(more < 0.2, "{more} s of CPU after the client left");
}

async fn metric(server: &Server, name: &str) -> f64 {
    let page = server.get("/metrics").await.text().await.unwrap();
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
}

async fn cpu_seconds(server: &Server) -> f64 {
    metric(server, "process_cpu_seconds_total").await
}

async fn wait_for_in_flight(server: &Server, count: u32) {
    let clock = store::env::Env::system();
    while metric(server, "tarn_http_requests_in_flight").await != f64::from(count) {
        assert!(clock.monotonic() < Duration::from_secs(30), "there are never {count} requests in flight");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
