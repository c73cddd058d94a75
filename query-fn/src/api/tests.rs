//! Requests and responses as text: `golden/api/*.txt` against a small fixed store.
//!
//! A case is a request line (`GET /path`), parameters (`name=value`, encoded by the harness), headers (`@name: value`; `@x-scope-orgid: a|b` says
//! whose data is read), `----`, then
//! `status content-type` and the body. Cases are separated by blank lines; `#` starts a comment. What `stats` says depends on the run, so it
//! is shown as `"stats":...`. `BLESS=1` writes what was got.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use http::header;
use schema::{LabelSet, RowBatch, StreamRun, Timestamp};
use store::object::Op;
use store::testing::{Fault, FaultyStore};

use super::*;

/// 2026-11-01T00:00:00Z
const START: i64 = 1_793_491_200_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// Rows as (labels, seconds after [`START`], line, structured metadata).
type Rows<'a> = &'a [(&'a str, i64, &'a str, &'a [(&'a str, &'a str)])];

const API_PROD: &str = r#"{app="api", env="prod", service_name="api"}"#;
const API_DEV: &str = r#"{app="api", env="dev", service_name="api"}"#;
const WEB: &str = r#"{app="web", env="prod", service_name="web", shard="1"}"#;

const FIRST_PUSH: Rows<'_> = &[
    (API_PROD, 1, r#"{"status": 200, "user": {"name": "ann"}}"#, &[("detected_level", "info")]),
    (API_PROD, 2, r#"{"status": 500, "user": {"name": "bo"}}"#, &[("detected_level", "error"), ("trace_id", "t1")]),
    (WEB, 3, "<b>&</b>", &[("detected_level", "unknown")]),
];
const SECOND_PUSH: Rows<'_> = &[
    (API_PROD, 61, "took=5ms size=5KB", &[("detected_level", "info")]),
    (API_DEV, 62, "ünï", &[("detected_level", "unknown")]),
    (WEB, 1801, "late", &[("detected_level", "unknown")]),
];

fn batch(rows: Rows<'_>) -> RowBatch {
    let mut batch = RowBatch::default();
    for (at, (labels, seconds, line, metadata)) in rows.iter().enumerate() {
        batch.runs.push(StreamRun { labels: LabelSet::parse(labels).unwrap(), rows: at..at + 1 });
        batch.timestamps.push(START + seconds * SECOND);
        batch.lines.push(line.as_bytes());
        for (name, value) in *metadata {
            let id = batch.metadata.intern(name);
            batch.metadata.push_pair(id, value.as_bytes());
        }
        batch.metadata.finish_row();
    }
    batch
}

/// What another tenant has. Its stream has a label with the name of ours.
const OF_TEAM_B: Rows<'_> = &[
    (r#"{__tenant_id__="mine", app="api", service_name="api"}"#, 2, "b took=7ms", &[("detected_level", "info")]),
    (r#"{app="db", service_name="db"}"#, 62, "b later", &[("detected_level", "unknown")]),
];

/// An API at 2026-11-01T01:00:00Z over two chunks of the tenant `golden` and one of `team-b`.
pub(super) async fn api() -> Api {
    let env = Env::fixed(Timestamp(START + 3600 * SECOND));
    let client = ObjectClient::open("memory:", &env).unwrap();
    let tenant = TenantId::parse("golden").unwrap();
    for (tenant, push) in [(&tenant, FIRST_PUSH), (&tenant, SECOND_PUSH), (&TenantId::parse("team-b").unwrap(), OF_TEAM_B)] {
        let chunk = store::chunk::build(tenant, &[batch(push)]).unwrap();
        store::chunk::commit(&client, &chunk).await.unwrap();
    }
    Api::new(client, env, QueryLimits::default(), 16 << 20)
}

pub(super) fn request(head: &str) -> ApiRequest {
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let (path, raw) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    let mut parameters = String::from(raw);
    let mut body = String::new();
    for line in lines {
        if let Some((name, value)) = line.strip_prefix('@').and_then(|header| header.split_once(": ")) {
            headers.insert(header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            continue;
        }
        let (target, line) = match line.strip_prefix("body ") {
            Some(line) => (&mut body, line),
            None => (&mut parameters, line),
        };
        let (name, value) = line.split_once('=').unwrap();
        let separator = if target.is_empty() { "" } else { "&" };
        write!(target, "{separator}{}={}", encode(name), encode(value)).unwrap();
    }
    ApiRequest {
        method: method.parse().unwrap(),
        path: path.to_owned(),
        query: parameters,
        body: Bytes::from(body),
        tenants: TenantSet::parse(headers.get("x-scope-orgid").map_or("golden", |value| value.to_str().unwrap())).unwrap(),
        headers,
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").unwrap();
        out
    })
}

fn render(response: Option<ApiResponse>) -> String {
    let Some(response) = response else { return "none".to_owned() };
    let mut body = String::from_utf8(response.body.to_vec()).unwrap();
    if let Some(at) = body.find(r#""stats":"#) {
        body.replace_range(at.., r#""stats":..."#);
    }
    let content_type = response.headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
    let location = response.headers.get(header::LOCATION).map_or(String::new(), |value| format!("location: {}\n", value.to_str().unwrap()));
    let id = response.headers.get("x-delete-request-id").map_or(String::new(), |value| format!("x-delete-request-id: {}\n", value.to_str().unwrap()));
    let first = format!("{} {content_type}", response.status.as_u16());
    format!("{}\n{location}{id}{body}", first.trim_end()).trim_end().to_owned()
}

/// Runs every case of a file; what differs comes back with its request.
async fn run_file(path: &PathBuf) -> Vec<String> {
    let api = api().await;
    let text = std::fs::read_to_string(path).unwrap();
    let (mut blessed, mut failures) = (Vec::new(), Vec::new());
    for block in text.trim_end().split("\n\n") {
        let comments: Vec<&str> = block.lines().take_while(|line| line.starts_with('#')).collect();
        let case = block.lines().skip(comments.len()).collect::<Vec<_>>().join("\n");
        if case.is_empty() {
            blessed.push(block.to_owned());
            continue;
        }
        let (head, expected) = case.split_once("\n----\n").unwrap_or_else(|| panic!("{}: no ---- in: {case}", path.display()));
        let got = render(api.handle(request(head)).await);
        if got != expected {
            failures.push(format!("{}\n{head}\nexpected: {expected}\n     got: {got}\n", path.display()));
        }
        let comments: String = comments.iter().map(|line| format!("{line}\n")).collect();
        blessed.push(format!("{comments}{head}\n----\n{got}"));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, blessed.join("\n\n") + "\n").unwrap();
        return Vec::new();
    }
    failures
}

#[tokio::test]
async fn golden_requests_have_golden_responses() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/api");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut failures = Vec::new();
    for file in &files {
        failures.extend(run_file(file).await);
    }
    assert!(failures.is_empty(), "{} cases differ\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn error_bodies_are_bare_and_json_bodies_end_with_a_newline() {
    let api = api().await;
    let error = api.handle(request("GET /loki/api/v1/labels\nstart=x")).await.unwrap();
    assert_eq!(error.headers.get(header::CONTENT_TYPE).unwrap(), "text/plain; charset=utf-8");
    assert_eq!(error.headers.get(header::X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
    assert!(!error.body.ends_with(b"\n"));
    let labels = api.handle(request("GET /loki/api/v1/labels")).await.unwrap();
    assert!(labels.body.ends_with(b"}\n"));
}

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    let api = api().await;
    for path in ["labels", "label/app/values", "series"] {
        let mut other = request(&format!("GET /loki/api/v1/{path}"));
        other.tenants = TenantId::parse("other").unwrap().into();
        let body = api.handle(other).await.unwrap().body;
        assert!(!body.windows(3).any(|window| window == b"api" || window == b"app"), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_says_how_to_make_it_shorter() {
    let env = Env::fixed(Timestamp(START));
    let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
    faults.script([(Op::List, Fault::Delay(Duration::from_secs(60)))]);
    let limits = QueryLimits { query_timeout: Duration::from_millis(5), ..QueryLimits::default() };
    let response = Api::new(client, env, limits, 1 << 20).handle(request("GET /loki/api/v1/labels")).await.unwrap();
    assert_eq!(response.status, StatusCode::GATEWAY_TIMEOUT);
    let text = "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed";
    assert_eq!(response.body, text);
}

async fn api_with(limits: QueryLimits) -> Api {
    let shared = api().await.shared;
    Api::new(shared.client.clone(), shared.env.clone(), limits, 1 << 20)
}

async fn answer(api: &Api, head: &str) -> (u16, String) {
    let response = api.handle(request(head)).await.unwrap();
    (response.status.as_u16(), String::from_utf8(response.body.to_vec()).unwrap().trim_end().to_owned())
}

#[tokio::test]
async fn volumes_can_be_switched_off_and_cut() {
    let off = api_with(QueryLimits { volume_enabled: false, ..QueryLimits::default() }).await;
    for path in ["volume", "volume_range"] {
        assert_eq!(answer(&off, &format!("GET /loki/api/v1/index/{path}\nquery={{app=\"api\"}}")).await, (404, "not found".to_owned()));
    }
    assert_eq!(answer(&off, "GET /loki/api/v1/index/stats\nquery={app=\"api\"}").await.0, 200);
    let one = api_with(QueryLimits { volume_max_series: 1, ..QueryLimits::default() }).await;
    for limit in ["", "\nlimit=5", "\nlimit=0"] {
        let (_, body) = answer(&one, &format!("GET /loki/api/v1/index/volume\nquery={{app=~\".+\"}}{limit}")).await;
        assert!(body.contains(r#""app":"api""#) && !body.contains("web"), "{body}");
    }
    let mut metrics = String::new();
    off.render_prometheus(&mut metrics);
    assert!(metrics.contains("tarn_queries_refused_total{reason=\"volume_enabled\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn a_selector_that_is_too_wide_is_refused() {
    let api = api_with(QueryLimits { required_labels: vec!["env".to_owned()], max_query_range: Some(Duration::from_secs(60)), ..QueryLimits::default() }).await;
    let missing = "stream selector is missing required matchers [env], labels present in the query were [app]";
    for request in [
        "GET /loki/api/v1/query_range\nquery={app=\"api\"}",
        "GET /loki/api/v1/query\nquery=sum(rate({app=\"api\"}[1m]))",
        "GET /loki/api/v1/detected_fields\nquery={app=\"api\"}",
        "GET /api/prom/query\nquery={app=\"api\"}",
    ] {
        assert_eq!(answer(&api, request).await, (400, missing.to_owned()), "{request}");
    }
    let long = answer(&api, "GET /loki/api/v1/query\nquery=sum(rate({env=\"prod\"}[2m]))").await;
    assert_eq!(long, (400, "[interval] value exceeds limit: [2m] > [1m]".to_owned()));
    assert_eq!(answer(&api, "GET /loki/api/v1/query_range\nquery={env=\"prod\"}").await.0, 200);
    assert_eq!(answer(&api, "GET /loki/api/v1/labels\nquery={app=\"api\"}").await.0, 200, "as in Loki, what reads no line is not asked");
    let mut metrics = String::new();
    api.render_prometheus(&mut metrics);
    for line in ["reason=\"required_labels\"} 4\n", "reason=\"max_query_range\"} 1\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

/// Of the rows only the last is younger than 45 minutes.
#[tokio::test]
async fn the_lookback_holds_for_labels_too() {
    let api = api_with(QueryLimits { max_query_lookback: Some(Duration::from_secs(45 * 60)), ..QueryLimits::default() }).await;
    assert_eq!(answer(&api, "GET /loki/api/v1/label/app/values").await.1, r#"{"status":"success","data":["web"]}"#);
    assert_eq!(answer(&api, "GET /loki/api/v1/series").await.1, r#"{"status":"success","data":[{"app":"web","env":"prod","service_name":"web","shard":"1"}]}"#);
    assert_eq!(answer(&api, "GET /loki/api/v1/index/stats\nquery={app=~\".+\"}").await.1, r#"{"streams":1,"chunks":1,"bytes":4,"entries":1}"#);
    let (_, lines) = answer(&api, "GET /loki/api/v1/query_range\nquery={app=~\".+\"}").await;
    assert!(lines.contains("late") && !lines.contains("took"), "{lines}");
}

#[tokio::test]
async fn queries_beyond_what_may_run_and_wait_are_told_to_come_again() {
    let shared = api().await.shared;
    let (client, faults) = FaultyStore::wrap(&shared.client);
    faults.script([(Op::List, Fault::Delay(Duration::from_secs(60)))]);
    let limits = QueryLimits { max_concurrent_queries: 1, ..QueryLimits::default() };
    let of_each = Arc::new(SameForAll(Arc::new(limits.clone())));
    let concurrency = Concurrency { max_concurrent: 0, max_outstanding_per_tenant: 0 };
    let api = Api::with_limits(client, shared.env.clone(), limits, of_each, ChunkCache::new(1 << 20), concurrency);
    let mut slow = Box::pin(api.handle(request("GET /loki/api/v1/labels")));
    assert!(futures::poll!(&mut slow).is_pending());
    let refused = api.handle(request("GET /loki/api/v1/labels")).await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), &refused.body[..], refused.headers[header::RETRY_AFTER].to_str().unwrap()),
        (429, &b"too many outstanding requests"[..], "1")
    );
    assert_eq!(answer(&api, "GET /loki/api/v1/format_query\nquery={app=\"api\"}").await.0, 200, "what reads nothing takes no place");
    assert_eq!(answer(&api, "GET /loki/api/v1/labels\n@x-scope-orgid: team-b").await.0, 200, "another tenant has its own");
    let mut metrics = String::new();
    api.render_prometheus(&mut metrics);
    assert!(metrics.contains("tarn_queries_in_flight 1\n") && metrics.contains("reason=\"max_outstanding_per_tenant\"} 1\n"), "{metrics}");
    drop(slow);
    assert_eq!(answer(&api, "GET /loki/api/v1/labels").await.0, 200);
}
