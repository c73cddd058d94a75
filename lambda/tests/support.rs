//! A Lambda service for one function: the Runtime API as AWS documents it (2018-06-01), one event at a time.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use store::Env;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

/// A machine that builds at the same time is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// 2023-11-14T22:13:20Z
pub(crate) const THEN: i64 = 1_700_000_000_000_000_000;

/// What a function did with an event.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer { headers: HeaderMap, body: Bytes },
    Error(Value),
}

impl Outcome {
    /// The answer as JSON.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Answer { body, .. } => serde_json::from_slice(body).unwrap(),
            Self::Error(error) => panic!("the function failed: {error}"),
        }
    }

    /// The error.
    pub(crate) fn error(&self) -> &Value {
        match self {
            Self::Error(error) => error,
            Self::Answer { body, .. } => panic!("the function answered: {}", String::from_utf8_lossy(body)),
        }
    }
}

struct Event {
    body: String,
    deadline_millis: u64,
}

struct Runtime {
    events: Mutex<mpsc::Receiver<Event>>,
    outcomes: mpsc::Sender<(String, Outcome)>,
    invocations: std::sync::atomic::AtomicU64,
}

/// A function that waits for events; gone when dropped.
pub(crate) struct Lambda {
    child: Child,
    events: mpsc::Sender<Event>,
    outcomes: mpsc::Receiver<(String, Outcome)>,
}

impl Lambda {
    pub(crate) async fn ingest(store: &Path, env: &[(&str, &str)]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_tarn-lambda-ingest"), &store_url(store), env).await
    }

    pub(crate) async fn query(store: &Path, env: &[(&str, &str)]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_tarn-lambda-query"), &store_url(store), env).await
    }

    pub(crate) async fn compactor(store: &Path, env: &[(&str, &str)]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_tarn-lambda-compactor"), &store_url(store), env).await
    }

    /// Starts `binary` as Lambda does, with no setting of this machine.
    pub(crate) async fn start(binary: &str, store: &str, env: &[(&str, &str)]) -> Self {
        let (events, queue) = mpsc::channel(1);
        let (sender, outcomes) = mpsc::channel(1);
        let runtime = Arc::new(Runtime { events: Mutex::new(queue), outcomes: sender, invocations: Default::default() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TARN_") || name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "tarn")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("TARN_STORE", store)
            .env("TARN_LAMBDA_CACHE", "")
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        Self { child: command.spawn().unwrap(), events, outcomes }
    }

    /// Invokes the function with a minute's time.
    pub(crate) async fn invoke(&mut self, event: &Value) -> Outcome {
        self.invoke_within(event, Duration::from_secs(60)).await
    }

    pub(crate) async fn invoke_within(&mut self, event: &Value, time: Duration) -> Outcome {
        let now = u64::try_from(Env::system().now().as_nanos() / 1_000_000).unwrap();
        self.invoke_until(event, now + u64::try_from(time.as_millis()).unwrap()).await
    }

    pub(crate) async fn invoke_until(&mut self, event: &Value, deadline_millis: u64) -> Outcome {
        self.events.send(Event { body: event.to_string(), deadline_millis }).await.unwrap();
        match tokio::time::timeout(PATIENCE, self.outcomes.recv()).await {
            Ok(Some((_, outcome))) => outcome,
            _ => panic!("no answer: {:?}", self.child.try_wait()),
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    let Some(event) = runtime.events.lock().await.recv().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let id = runtime.invocations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", format!("8476a536-e9f4-11e8-9739-{id:012x}")),
        ("Lambda-Runtime-Deadline-Ms", event.deadline_millis.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:tarn".to_owned()),
        ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".to_owned()),
    ];
    (headers, event.body).into_response()
}

async fn response(State(runtime): State<Arc<Runtime>>, UrlPath(id): UrlPath<String>, headers: HeaderMap, body: Bytes) -> StatusCode {
    runtime.outcomes.send((id, Outcome::Answer { headers, body })).await.unwrap();
    StatusCode::ACCEPTED
}

async fn error(State(runtime): State<Arc<Runtime>>, UrlPath(id): UrlPath<String>, body: Bytes) -> StatusCode {
    runtime.outcomes.send((id, Outcome::Error(serde_json::from_slice(&body).unwrap()))).await.unwrap();
    StatusCode::ACCEPTED
}

fn store_url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// A request at a Function URL, in the form of AWS' guide.
pub(crate) fn function_url(method: &str, path: &str, query: &str, headers: Value, body: Option<&str>) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {
            "accountId": "123456789012", "apiId": "urlid", "domainName": "urlid.lambda-url.eu-west-1.on.aws", "domainPrefix": "urlid",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "123.123.123.123", "userAgent": "agent"},
            "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1583348638390_u64
        },
        "body": body, "isBase64Encoded": false
    })
}

/// A push of `lines` to `{app="api"}`, one a second from [`THEN`] on.
pub(crate) fn push(lines: &[&str]) -> Value {
    let values: Vec<Value> = lines.iter().zip(0_i64..).map(|(line, second)| json!([(THEN + second * 1_000_000_000).to_string(), line])).collect();
    let body = json!({"streams": [{"stream": {"app": "api"}, "values": values}]}).to_string();
    function_url("POST", "/loki/api/v1/push", "", json!({"content-type": "application/json", "x-scope-orgid": "team-a"}), Some(&body))
}

/// A query over the hour after [`THEN`] as the tenant of [`push`].
pub(crate) fn query(logql: &str, parameters: &str) -> Value {
    let encoded: String = logql.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let query = format!("query={encoded}&start={THEN}&end={}{parameters}", THEN + 3_600_000_000_000);
    function_url("GET", "/loki/api/v1/query_range", &query, json!({"x-scope-orgid": "team-a"}), None)
}

/// The lines of a query's answer.
pub(crate) fn lines(answer: &Value) -> Vec<String> {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    lines_of(answer["body"].as_str().unwrap())
}

pub(crate) fn lines_of(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap();
    let streams = body["data"]["result"].as_array().unwrap().clone();
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
    values.map(|value| value[1].as_str().unwrap().to_owned()).collect()
}

/// Every object below `folder`, as paths from it; hidden files are the store's own.
pub(crate) fn objects(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// An S3 that takes requests and never answers; its endpoint.
pub(crate) async fn stalled_s3() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(std::future::pending::<StatusCode>);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    endpoint
}

/// An S3 with a few objects that can be read.
pub(crate) struct Bucket {
    endpoint: String,
}

impl Bucket {
    /// `objects` by path (`/bucket/key`), and paths that may not be read.
    pub(crate) async fn start(objects: &[(&str, Vec<u8>)], denied: &[&str]) -> Self {
        let objects: HashMap<String, Vec<u8>> = objects.iter().map(|(path, body)| ((*path).to_owned(), body.clone())).collect();
        let denied: Vec<String> = denied.iter().map(|path| (*path).to_owned()).collect();
        let shared = Arc::new((objects, denied));
        let answer = move |uri: http::Uri| {
            let shared = Arc::clone(&shared);
            async move {
                let path = uri.path().replace("%20", " ");
                let error = |status, code: &str| (status, format!("<Error><Code>{code}</Code></Error>")).into_response();
                match shared.0.get(&path) {
                    Some(body) => {
                        ([("ETag", "\"b21b84d653bb07b05b1e6b33684dc11b\""), ("Last-Modified", "Tue, 03 Sep 2019 19:37:27 GMT")], body.clone()).into_response()
                    }
                    None if shared.1.contains(&path) => error(StatusCode::FORBIDDEN, "AccessDenied"),
                    None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        Self { endpoint }
    }

    /// What a function needs to read it.
    pub(crate) fn env(&self) -> [(&str, &str); 3] {
        [("AWS_ENDPOINT_URL", &self.endpoint), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
    }
}
