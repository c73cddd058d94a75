//! What Grafana (data source, Explore, alerting, Logs Drilldown) and logcli send to a Loki server, request by request, and what they must be answered: the rows of
//! spec/grafana-client.md, whose numbers the tests bear. Bodies are compared as text: Grafana reads them as a stream, so the order of members counts.

mod alerting;
mod answers;
mod conformance;
mod drilldown;
mod errors;
mod explore;
mod health;
mod json;
mod legacy;
mod logcli;
mod must;
mod operations;
mod parameters;
mod tail;
mod transport;

use std::io::Read as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Server, THEN};
use json::shape;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Stores at once.
const QUICK: (&str, &str) = ("TARN_INGEST_FLUSH_INTERVAL", "0");

const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// Grafana sends this with every query.
const FLAG: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");
/// Logs Drilldown sends this with every request of its own.
const DRILLDOWN: (&str, &str) = ("X-Query-Tags", "Source=grafana-lokiexplore-app");

/// Time, line, structured metadata.
type Entry<'a> = (i64, &'a str, &'a [(&'a str, &'a str)]);

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body of a success in JSON.
    fn ok(&self) -> &str {
        assert_eq!((self.status, self.header("content-type")), (200, Some(JSON)), "{}", String::from_utf8_lossy(&self.body));
        assert!(self.text().ends_with('\n'), "{}", self.text());
        self.text()
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap()
    }

    fn shape(&self) -> String {
        shape(self.ok())
    }

    /// A query's body without statistics.
    fn bare(&self) -> String {
        json::bare(self.ok())
    }

    /// The result of a query.
    fn result(&self) -> &str {
        json::member(self.ok(), "data.result")
    }

    /// The body of a refusal of the read path: the bare message, marked as nothing but text.
    fn refusal(&self) -> (u16, &str) {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!(self.header("content-type"), Some(TEXT), "{}", self.text());
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{}", self.text());
        (self.status, self.text())
    }

    fn gunzipped(&self) -> String {
        assert_eq!(self.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(self.body.as_slice()).read_to_string(&mut text).unwrap();
        text
    }
}

/// Sends a request whose target stands on the wire as it is written here.
async fn send(server: &Server, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: tarn\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    let mut bytes = (request + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    let mut stream = tokio::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{target}: {}", String::from_utf8_lossy(&answer)));
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: answer[end + 4..].to_vec() }
}

/// `name=value` pairs with everything escaped that is not a letter or a digit.
fn form(parameters: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
    };
    parameters.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect::<Vec<_>>().join("&")
}

/// `GET` of a path below `/loki/api/v1/`.
async fn get(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Answer {
    get_with(server, path, parameters, &[]).await
}

async fn get_with(server: &Server, path: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    send(server, "GET", &format!("/loki/api/v1/{path}?{}", form(parameters)), headers, b"").await
}

/// A range query as the data source sends it, over the minute from [`THEN`] on.
async fn range(server: &Server, query: &str) -> Answer {
    range_with(server, query, &[], &[FLAG]).await
}

/// As [`range`]; `more` replaces parameters of the same name.
async fn range_with(server: &Server, query: &str, more: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let (start, end) = (THEN.to_string(), (THEN + MINUTE).to_string());
    let mut parameters = vec![("direction", "backward"), ("end", &*end), ("limit", "1000"), ("query", query), ("start", &*start), ("step", "60000ms")];
    parameters.retain(|(name, _)| !more.iter().any(|(replaced, _)| replaced == name));
    parameters.extend(more);
    get_with(server, "query_range", &parameters, headers).await
}

/// An instant query as the data source sends it, a minute after [`THEN`].
async fn instant(server: &Server, query: &str) -> Answer {
    let time = (THEN + MINUTE).to_string();
    get_with(server, "query", &[("direction", "backward"), ("query", query), ("time", &time)], &[FLAG]).await
}

/// Pushes entries of one stream.
async fn push(server: &Server, labels: &[(&str, &str)], entries: &[Entry<'_>]) {
    let object = |pairs: &[(&str, &str)]| -> serde_json::Map<String, Value> { pairs.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect() };
    let values: Vec<Value> = entries.iter().map(|(at, line, metadata)| json!([at.to_string(), line, object(metadata)])).collect();
    let body = json!({"streams": [{"stream": object(labels), "values": values}]}).to_string();
    let answer = send(server, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
}

const SHOP: &[(&str, &str)] = &[("app", "shop"), ("env", "prod")];
const API: &[(&str, &str)] = &[("app", "api"), ("env", "dev")];
const SHOP_LINES: &[Entry<'static>] = &[
    (THEN + SECOND, r#"level=info msg="start" took=12ms size=1KB"#, &[("trace_id", "t1")]),
    (THEN + 2 * SECOND, r#"level=error msg="<down> & out" took=250ms size=2KB"#, &[("trace_id", "t2")]),
    (THEN + 3 * SECOND, "plain words", &[]),
];
const API_LINES: &[Entry<'static>] = &[
    (THEN + 4 * SECOND, r#"{"level":"warn","status":500,"user":{"id":7}}"#, &[]),
    (THEN + 5 * SECOND, r#"{"level":"info","status":200,"user":{"id":8}}"#, &[]),
];

fn bytes(lines: &[Entry<'_>]) -> usize {
    lines.iter().map(|(_, line, _)| line.len()).sum()
}

/// A server with two streams of a few lines each: three of `app="shop"`, two of `app="api"`.
async fn shop() -> Server {
    let server = Server::start(&[QUICK]).await;
    push(&server, SHOP, SHOP_LINES).await;
    push(&server, API, API_LINES).await;
    server
}
