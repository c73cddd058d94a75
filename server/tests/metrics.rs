//! What an operator sees: metrics and their table, request ids, readiness.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use store::env::Env;

use crate::support::{Server, THEN, client, json_push, raw};

/// A metric's kind and the names of its labels, in the order of the alphabet and with commas between.
type Family = (String, String);

/// What is in the table of docs/operations.md, by name.
fn documented() -> BTreeMap<String, Family> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("| metric | kind | labels | what |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let mut labels: Vec<&str> = cells[3].split(", ").map(|label| label.trim_matches('`')).filter(|label| !label.is_empty()).collect();
        labels.sort_unstable();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels.join(",")))
    })
    .collect()
}

/// What `/metrics` shows, by name.
fn exported(page: &str) -> BTreeMap<String, Family> {
    let mut kinds: BTreeMap<String, Family> = BTreeMap::new();
    let names = regex::Regex::new(r#"(\w+)=""#).unwrap();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            kinds.insert(name.to_owned(), (kind.to_owned(), String::new()));
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end).filter(|base| kinds.contains_key(*base))).unwrap_or(name);
            let mut labels: Vec<&str> = names.captures_iter(labels).map(|found| found.get(1).unwrap().as_str()).filter(|label| *label != "le").collect();
            labels.sort_unstable();
            let (_, known) = kinds.get_mut(family).unwrap_or_else(|| panic!("{family} has no type"));
            assert!(known.is_empty() || *known == labels.join(","), "{family} has labels {known} and {labels:?}");
            *known = labels.join(",");
        }
    }
    kinds
}

async fn page(server: &Server) -> String {
    server.get("/metrics").await.text().await.unwrap()
}

fn value(page: &str, series: &str) -> f64 {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()).unwrap_or_else(|| panic!("{series} is not in\n{page}"))
}

async fn post(server: &Server, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    client().post(server.at(path)).header("content-type", content_type).body(body).send().await.unwrap()
}

/// Every metric is in the table with its kind and labels, and the table has no other.
#[tokio::test]
async fn the_documented_metrics_are_those_that_there_are() {
    let server = Server::start(&[("TARN_SYSLOG_LISTEN_TCP", "127.0.0.1:0")]).await;
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "x")])).await.status(), 204);
    let query = "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start=1699999999&end=1700000001";
    assert!(server.get(query).await.text().await.unwrap().contains(r#""x"]"#));
    let (documented, exported) = (documented(), exported(&page(&server).await));
    assert!(documented.len() > 40, "{documented:?}");
    for (name, family) in &exported {
        assert_eq!(documented.get(name), Some(family), "{name}: the table of docs/operations.md says the left, /metrics the right");
    }
    let gone: Vec<&String> = documented.keys().filter(|name| !exported.contains_key(*name)).collect();
    assert!(gone.is_empty(), "not in /metrics: {gone:?}");
}

#[tokio::test]
async fn what_queries_found_in_the_cache_is_counted() {
    let server = Server::start(&[("TARN_COMPACTOR_ENABLED", "false")]).await;
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "x")])).await.status(), 204);
    let footer = |page: &str, result: &str| value(page, &format!("tarn_cache_requests_total{{kind=\"footer\",result=\"{result}\"}}"));
    let query = "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start=1699999999&end=1700000001";
    server.get(query).await;
    let first = page(&server).await;
    assert_eq!((footer(&first, "hit"), footer(&first, "miss")), (0.0, 1.0));
    server.get(query).await;
    let second = page(&server).await;
    assert!(footer(&second, "hit") >= 1.0, "{second}");
    assert_eq!(footer(&second, "miss"), 1.0);
    assert!(value(&second, "tarn_cache_bytes{kind=\"footer\"}") > 0.0);
}

/// Lines and bytes that are refused count under the same words, whatever the protocol is.
#[tokio::test]
async fn refused_lines_are_counted_by_reason_in_every_protocol() {
    const LONG: usize = 101;
    const PUSHES: u32 = 20;
    let settings = [
        ("TARN_LIMITS_MAX_LINE_SIZE", "100"),
        ("TARN_LIMITS_MAX_BODY_BYTES", "2000"),
        ("TARN_LIMITS_CREATION_GRACE_PERIOD", "10m"),
        ("TARN_LIMITS_INGESTION_RATE_MB", "0.00001"),
        ("TARN_LIMITS_INGESTION_BURST_SIZE_MB", "0.0005"),
    ];
    let long = "x".repeat(LONG);
    let far = "4102444800000000000";
    let loki = |at: &str, line: &str| format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["{at}","{line}"]]}}]}}"#);
    let otlp = |at: &str, line: &str| {
        let record = format!(r#"{{"timeUnixNano":"{at}","body":{{"stringValue":"{line}"}}}}"#);
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#)
    };
    let bulk = |at: &str, line: &str| format!("{{\"index\":{{\"_index\":\"i\"}}}}\n{{\"@timestamp\":{},\"message\":\"{line}\"}}\n", at.get(..13).unwrap());
    let lines = |at: &str, line: &str| format!("{{\"at\":{at},\"message\":\"{line}\"}}\n");
    type Protocol<'a> = (&'a str, &'a str, &'a dyn Fn(&str, &str) -> String);
    let protocols: [Protocol<'_>; 4] = [
        ("/loki/api/v1/push", "application/json", &loki),
        ("/otlp/v1/logs", "application/json", &otlp),
        ("/_bulk", "application/x-ndjson", &bulk),
        ("/tarn/api/v1/push?labels=%7Bapp%3D%22x%22%7D&time_field=at&line_field=message", "application/x-ndjson", &lines),
    ];
    for (path, content_type, body) in protocols {
        let server = Server::start(&settings).await;
        let then = THEN.to_string();
        let counted = |page: &str, reason: &str| {
            let of = |name: &str| value(page, &format!("tarn_discarded_{name}_total{{reason=\"{reason}\"}}"));
            (of("samples"), of("bytes"))
        };
        let refused = post(&server, path, content_type, body(&then, &long)).await;
        assert!(refused.status() == 400 || path == "/_bulk", "{path}: {}", refused.text().await.unwrap());
        post(&server, path, content_type, body(far, "y")).await;
        let shown = page(&server).await;
        assert_eq!(counted(&shown, "line_too_long").0, 1.0, "{path}");
        assert!(counted(&shown, "line_too_long").1 >= LONG as f64, "{path}");
        assert_eq!(counted(&shown, "too_far_in_future").0, 1.0, "{path}");
        assert_eq!(value(&shown, "tarn_ingest_lines_received_total"), 0.0, "{path}");

        // Of a size that the head tells, and of one that only reading tells.
        let large = body(&then, &"z".repeat(3000));
        assert_eq!(post(&server, path, content_type, large.clone()).await.status(), 413, "{path}");
        let piece = futures::stream::iter([Ok::<_, std::io::Error>(large.clone())]);
        assert_eq!(post(&server, path, content_type, reqwest::Body::wrap_stream(piece)).await.status(), 413, "{path}");
        let shown = page(&server).await;
        assert_eq!(counted(&shown, "request_body_too_large"), (2.0, 2.0 * large.len() as f64), "{path}");

        // 524 bytes at once, and then 10 a second.
        let mut limited = 0;
        for n in 0..PUSHES {
            let answer = post(&server, path, content_type, body(&(THEN + i64::from(n)).to_string(), &"w".repeat(90))).await;
            limited += u32::from(answer.status() == 429);
        }
        assert!(limited > 0, "{path}");
        let shown = page(&server).await;
        assert_eq!(counted(&shown, "rate_limited").0, f64::from(limited), "{path}");
        assert!(counted(&shown, "rate_limited").1 >= f64::from(limited) * 90.0, "{path}");
        assert_eq!(value(&shown, "tarn_ingest_lines_received_total"), f64::from(PUSHES - limited), "{path}");
        assert_eq!((value(&shown, "tarn_ingest_waiting_pushes"), value(&shown, "tarn_ingest_flushes_running")), (0.0, 0.0), "{path}");
    }
    let server = Server::start(&settings).await;
    assert_eq!(server.push(r#"{"streams":[{"stream":{"1":"b"},"values":[["1","x"]]}]}"#.to_owned()).await.status(), 400);
    assert_eq!(value(&page(&server).await, "tarn_discarded_samples_total{reason=\"invalid_labels\"}"), 1.0);
}

#[tokio::test]
async fn a_request_has_an_id_in_its_answer_and_in_the_log() {
    let server = Server::start(&[("TARN_LOG", "debug")]).await;
    let ask = async |path: &str, id: Option<&str>| {
        let request = client().get(server.at(path));
        let request = id.into_iter().fold(request, |request, id| request.header("x-request-id", id));
        let response = request.send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    let logged = |id: &str| {
        let log = server.log.lock().unwrap();
        let lines = log.lines().filter(|line| line.contains(&format!(" request request_id=\"{id}\" ")));
        lines.map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("uri=")).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ask("/ready", Some("one-of:ours/1")).await, "one-of:ours/1");
    for (path, id) in [("/ready", None), ("/nothing", Some("with blank")), ("/loki//api/v1/labels", None), ("/loki/api/v1/push", Some(""))] {
        let made = ask(path, id).await;
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{path}: {made}");
        let clock = Env::system();
        while logged(&made) != [path] {
            assert!(clock.monotonic() < Duration::from_secs(30), "{path}: {made} is not in\n{}", server.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(logged("one-of:ours/1"), ["/ready"]);
    let refused = raw(&server, b"GET /ready HTTP/1.1\r\nhost: x\r\nx-request-id: a\r\nx-request-id: b\r\nconnection: close\r\n\r\n").await;
    assert!(!refused.contains("x-request-id: a\r\n") && !refused.contains("x-request-id: b\r\n"), "{refused}");
}

/// The store is taken away under the server, and given back.
#[tokio::test]
async fn a_server_whose_store_does_not_answer_is_not_ready_until_it_does() {
    let server = Server::start(&[("TARN_COMPACTOR_ENABLED", "false"), ("TARN_INGEST_FLUSH_INTERVAL", "10ms")]).await;
    let away = server.store.with_extension("away");
    let clock = Env::system();
    let becomes = async |status: u16, text: &str| {
        loop {
            let answer = server.get("/ready").await;
            if answer.status() == status {
                assert_eq!(answer.text().await.unwrap(), text);
                return;
            }
            assert!(clock.monotonic() < Duration::from_secs(120), "not {status} {text:?}:\n{}", server.log.lock().unwrap());
            // Somebody asks it for something.
            let _ = server.push(json_push(&[("a", "b")], &[(THEN, "x")])).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    becomes(200, "ready\n").await;
    std::fs::rename(&server.store, &away).unwrap();
    // A link to itself, which no file can be opened through.
    std::os::unix::fs::symlink(&server.store, &server.store).unwrap();
    becomes(503, "not ready: the store does not answer\n").await;
    assert_eq!(value(&page(&server).await, "tarn_ready"), 0.0);
    // It still tries, and says what is wrong.
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "y")])).await.status(), 503);
    std::fs::remove_file(&server.store).unwrap();
    std::fs::rename(&away, &server.store).unwrap();
    becomes(200, "ready\n").await;
    assert_eq!(value(&page(&server).await, "tarn_ready"), 1.0);
    assert_eq!(server.push(json_push(&[("a", "b")], &[(THEN, "z")])).await.status(), 204);
    assert!(server.log.lock().unwrap().contains("the store answers again"));
}
