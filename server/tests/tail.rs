//! Following a query: over the WebSocket, and with `tarn tail`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use store::env::Env;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Server, json_push, run, stderr, tarn};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: i64 = 1_000_000_000;
const QUERY: &str = "query=%7Bapp%3D%22x%22%7D";
/// Stores quickly, so that the tests are quick.
const QUICK: [(&str, &str); 1] = [("TARN_INGEST_FLUSH_INTERVAL", "10ms")];

type Socket = WebSocketStream<TcpStream>;

/// A tail, or the status and body that were answered in its place.
async fn open(server: &Server, parameters: &str, headers: &[(&'static str, &str)]) -> Result<Socket, (u16, String)> {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/loki/api/v1/tail?{parameters}").into_client_request().unwrap();
    headers.iter().for_each(|(name, value)| drop(request.headers_mut().insert(*name, value.parse().unwrap())));
    match tokio_tungstenite::client_async(request, TcpStream::connect(address).await.unwrap()).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err((answer.status().as_u16(), String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap())),
        Err(other) => panic!("{other}"),
    }
}

/// The next frame; `Err` for a close frame with its code and reason.
async fn frame(socket: &mut Socket) -> Result<Value, (u16, String)> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing came").expect("no close frame").unwrap();
        match message {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(close)) => return Err((close.code.into(), close.reason.to_string())),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn lines_of(frame: &Value) -> Vec<String> {
    let values = frame["streams"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap());
    values.map(|value| value[1].as_str().unwrap().to_owned()).collect()
}

/// Reads until so many lines have come.
async fn read(socket: &mut Socket, lines: usize) -> Vec<String> {
    let mut got = Vec::new();
    while got.len() < lines {
        got.extend(lines_of(&frame(socket).await.unwrap()));
    }
    got
}

/// Whether nothing but pings comes for a while.
async fn is_quiet(socket: &mut Socket, wait: Duration) -> bool {
    tokio::time::timeout(wait, frame(socket)).await.is_err()
}

async fn push(server: &Server, lines: &[(i64, &str)]) {
    assert_eq!(server.push(json_push(&[("app", "x")], lines)).await.status(), 204);
}

fn now() -> i64 {
    Env::system().now().as_nanos()
}

#[tokio::test]
async fn lines_that_one_server_takes_are_shown_by_another() {
    let taking = Server::start(&QUICK).await;
    let showing = Server::start_on(&taking.store, &[]).await;
    let at = now();
    push(&taking, &[(at - 30 * SECOND, "a"), (at - 20 * SECOND, "b"), (at - 10 * SECOND, "c"), (at - 7200 * SECOND, "hours ago")]).await;
    let mut all = open(&showing, QUERY, &[]).await.unwrap();
    let mut two = open(&showing, &format!("{QUERY}&limit=2"), &[]).await.unwrap();
    let mut since = open(&showing, &format!("{QUERY}&start={}", at - 15 * SECOND), &[]).await.unwrap();
    let mut other = open(&showing, QUERY, &[("x-scope-orgid", "other")]).await.unwrap();
    assert_eq!(read(&mut all, 3).await, ["a", "b", "c"]);
    assert_eq!(read(&mut two, 2).await, ["b", "c"]);
    assert_eq!(read(&mut since, 1).await, ["c"]);

    push(&taking, &[(at + SECOND, "new"), (at - 25 * SECOND, "late"), (at - 8000 * SECOND, "too late")]).await;
    assert_eq!(read(&mut all, 2).await, ["late", "new"]);
    assert_eq!(read(&mut two, 2).await, ["late", "new"]);
    assert_eq!(read(&mut since, 1).await, ["new"]);
    let metrics = showing.get("/metrics").await.text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "tarn_tails 4"), "{metrics}");
    for socket in [&mut all, &mut two, &mut since, &mut other] {
        assert!(is_quiet(socket, Duration::from_millis(1500)).await);
    }
    all.send(Message::Close(None)).await.unwrap();
    let clock = Env::system();
    drop((all, two, since, other));
    while !showing.get("/metrics").await.text().await.unwrap().lines().any(|line| line == "tarn_tails 0") {
        assert!(clock.monotonic() < PATIENCE, "tails stay open when their clients leave");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn frames_have_the_labels_that_were_asked_for() {
    let server = Server::start(&QUICK).await;
    let at = now();
    let body = serde_json::json!({"streams": [{"stream": {"app": "x"}, "values": [[at.to_string(), "level=warn <a>", {"trace": "t1"}]]}]});
    let query = "query=%7Bapp%3D%22x%22%7D%20%7C%20logfmt";
    let mut merged = open(&server, query, &[]).await.unwrap();
    let mut apart = open(&server, query, &[("x-loki-response-encoding-flags", "categorize-labels")]).await.unwrap();
    assert_eq!(server.push(body.to_string()).await.status(), 204);
    let stream = serde_json::json!({"app": "x", "detected_level": "warn", "level": "warn", "service_name": "x", "trace": "t1"});
    let expected = serde_json::json!({"streams": [{"stream": stream, "values": [[at.to_string(), "level=warn <a>"]]}]});
    assert_eq!(frame(&mut merged).await.unwrap(), expected);
    let others = serde_json::json!({"structuredMetadata": {"detected_level": "warn", "trace": "t1"}, "parsed": {"level": "warn"}});
    let stream = serde_json::json!({"app": "x", "service_name": "x"});
    let values = serde_json::json!([[at.to_string(), "level=warn <a>", others]]);
    let expected = serde_json::json!({"streams": [{"stream": stream, "values": values}], "encodingFlags": ["categorize-labels"]});
    assert_eq!(frame(&mut apart).await.unwrap(), expected);
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let server = Server::start(&[]).await;
    for (parameters, text) in [
        ("query=%7Bapp%3D", "parse error at line 1"),
        ("", "parse error"),
        (&format!("{QUERY}&delay_for=6"), "delay_for can't be greater than 5"),
        (&format!("{QUERY}&limit=-1"), "limit must be a positive value"),
        (&format!("{QUERY}&start=yesterday"), "could not parse 'start' parameter"),
    ] {
        let (status, body) = open(&server, parameters, &[]).await.unwrap_err();
        assert!(status == 400 && body.starts_with(text), "{parameters}: {status} {body}");
    }
    let (status, body) = open(&server, QUERY, &[("x-scope-orgid", "a|b")]).await.unwrap_err();
    assert_eq!((status, body.as_str()), (400, "multiple org IDs present"));
    let plain = server.get(&format!("/loki/api/v1/tail?{QUERY}")).await;
    assert_eq!(plain.status(), 400);
    assert!(plain.text().await.unwrap().starts_with("a tail is a WebSocket"));

    for (parameters, reason) in [
        ("query=rate(%7Bapp%3D%22x%22%7D%5B1m%5D)".to_owned(), "only log selector is supported"),
        (format!("{QUERY}&limit=6000"), "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)"),
    ] {
        let mut socket = open(&server, &parameters, &[]).await.unwrap();
        assert_eq!(frame(&mut socket).await, Err((1011, reason.to_owned())));
    }
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(open(&server, QUERY, &[]).await.unwrap());
    }
    let mut eleventh = open(&server, QUERY, &[]).await.unwrap();
    assert_eq!(frame(&mut eleventh).await, Err((1011, "max concurrent tail requests limit exceeded, count > limit (11 > 10)".to_owned())));
    assert!(open(&server, QUERY, &[("x-scope-orgid", "other")]).await.is_ok());
}

#[tokio::test]
async fn a_delay_puts_late_lines_in_order() {
    let server = Server::start(&QUICK).await;
    let mut socket = open(&server, &format!("{QUERY}&delay_for=3"), &[]).await.unwrap();
    let (at, clock) = (now(), Env::system());
    push(&server, &[(at, "first"), (at + 2, "third")]).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    push(&server, &[(at + 1, "second")]).await;
    assert_eq!(read(&mut socket, 3).await, ["first", "second", "third"]);
    assert!(clock.monotonic() >= Duration::from_secs(3), "shown after {:?}", clock.monotonic());
}

#[tokio::test]
async fn the_server_pings_and_says_that_it_stops() {
    let mut server = Server::start(&[]).await;
    let mut socket = open(&server, QUERY, &[]).await.unwrap();
    for _ in 0..2 {
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
    server.signal("TERM");
    assert_eq!(frame(&mut socket).await, Err((1001, "the server is stopping".to_owned())));
    // Answers the close frame.
    while socket.next().await.is_some() {}
    assert!(server.ended(Duration::from_secs(5)).await.success(), "{}", server.log.lock().unwrap());
}

/// Chunks are compacted and deleted under the tail all the time.
#[tokio::test]
async fn compaction_repeats_and_loses_nothing() {
    let settings = [QUICK[0], ("TARN_COMPACTOR_INTERVAL", "200ms"), ("TARN_COMPACTOR_GRACE", "10s")];
    let server = Server::start(&settings).await;
    let mut socket = open(&server, QUERY, &[]).await.unwrap();
    let at = now();
    let mut expected = Vec::new();
    for n in 0..130 {
        let line = format!("line {n}");
        push(&server, &[(at + n, &line)]).await;
        expected.push(line);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut got = read(&mut socket, expected.len()).await;
    assert!(is_quiet(&mut socket, Duration::from_secs(3)).await, "more than was pushed");
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let jobs = metrics.lines().find_map(|line| line.strip_prefix("tarn_compactor_jobs_total ")).unwrap();
    assert_ne!(jobs, "0", "nothing was compacted");
}

#[tokio::test]
async fn a_slow_client_is_told_what_it_missed_and_one_that_reads_nothing_is_left() {
    let server = Server::start(&QUICK).await;
    let mut slow = open(&server, QUERY, &[]).await.unwrap();
    let deaf = open(&server, QUERY, &[]).await.unwrap();
    let (at, pushes) = (now(), 40);
    let clock = Env::system();
    for n in 0..pushes {
        let lines: Vec<(i64, String)> = (0..10).map(|i| (at + n * 10 + i, format!("{:06} {}", n * 10 + i, "x".repeat(200_000)))).collect();
        let lines: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
        push(&server, &lines).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut seen, mut dropped) = (BTreeMap::new(), Vec::new());
    while seen.len() + dropped.len() < usize::try_from(pushes * 10).unwrap() {
        let frame = frame(&mut slow).await.unwrap();
        for line in lines_of(&frame) {
            *seen.entry(line[..6].to_owned()).or_insert(0) += 1;
        }
        for entry in frame["dropped_entries"].as_array().into_iter().flatten() {
            assert_eq!(entry["labels"]["app"], "x", "{entry}");
            dropped.push(entry["timestamp"].as_str().unwrap().parse::<i64>().unwrap());
        }
    }
    assert!(!dropped.is_empty() && !seen.is_empty(), "{} seen, {} dropped", seen.len(), dropped.len());
    assert!(seen.values().all(|times| *times == 1));
    assert!(dropped.iter().all(|timestamp| !seen.contains_key(&format!("{:06}", timestamp - at))));
    drop(slow);
    // More than the buffers of a connection hold.
    for n in pushes..pushes + 8 {
        let large = "x".repeat(200_000);
        let lines: Vec<(i64, &str)> = (0..10).map(|i| (at + n * 10 + i, large.as_str())).collect();
        push(&server, &lines).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    while !server.get("/metrics").await.text().await.unwrap().lines().any(|line| line == "tarn_tails 0") {
        assert!(clock.monotonic() < 2 * PATIENCE, "a client that reads nothing is kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(deaf);
}

/// A way to a server that can be broken.
struct Proxy {
    address: String,
    open: watch::Sender<bool>,
}

impl Proxy {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (open, is_open) = watch::channel(true);
        let target: Arc<str> = server.url.strip_prefix("http://").unwrap().into();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (target, mut is_open) = (Arc::clone(&target), is_open.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(&*target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open }
    }
}

/// `tarn tail` with its output in a file.
struct Command {
    child: Child,
    out: std::path::PathBuf,
    err: std::path::PathBuf,
}

impl Command {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let (out, err) = (folder.join("out"), folder.join("err"));
        let mut command = tarn();
        command.arg("tail").args(args).stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Self { child: command.spawn().unwrap(), out, err }
    }

    async fn wait_for(&self, lines: &[&str]) {
        let clock = Env::system();
        let printed = || std::fs::read_to_string(&self.out).unwrap();
        while printed().lines().count() < lines.len() {
            assert!(clock.monotonic() < PATIENCE, "printed\n{}\n{}", printed(), std::fs::read_to_string(&self.err).unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(printed().lines().collect::<Vec<_>>(), lines, "{}", std::fs::read_to_string(&self.err).unwrap());
    }

    fn interrupt(mut self) {
        assert!(std::process::Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", std::fs::read_to_string(&self.err).unwrap());
    }
}

#[tokio::test]
async fn the_command_goes_on_after_a_broken_connection() {
    let server = Server::start(&QUICK).await;
    let proxy = Proxy::to(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let at = now();
    push(&server, &[(at - 3 * SECOND, "1"), (at - 2 * SECOND, "2"), (at - SECOND, "3")]).await;
    let url = format!("http://{}", proxy.address);
    let tail = Command::start(folder.path(), &["--url", &url, r#"{app="x"}"#, "--limit", "2", "--output", "raw"]);
    tail.wait_for(&["2", "3"]).await;
    push(&server, &[(at, "4")]).await;
    tail.wait_for(&["2", "3", "4"]).await;
    proxy.open.send(false).unwrap();
    push(&server, &[(at + 1, "5")]).await;
    push(&server, &[(at, "6"), (at + 2, "7")]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    proxy.open.send(true).unwrap();
    tail.wait_for(&["2", "3", "4", "6", "5", "7"]).await;
    push(&server, &[(at + 3, "8")]).await;
    tail.wait_for(&["2", "3", "4", "6", "5", "7", "8"]).await;
    tail.interrupt();
}

#[tokio::test]
async fn the_command_reads_a_store_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let send = |line: &str| {
        let pushed = run(&["push", "--store", store, "--label", "app=x", "--timestamp", "now", "--quiet"], &[], line.as_bytes());
        assert!(pushed.status.success(), "{}", stderr(&pushed));
    };
    send("one\n");
    let tail = Command::start(folder.path(), &["--store", store, r#"{app="x"} |= "e""#, "--output", "raw"]);
    tail.wait_for(&["one"]).await;
    send("two\nthree\n");
    tail.wait_for(&["one", "three"]).await;
    tail.interrupt();
}

#[tokio::test]
async fn the_command_says_what_is_wrong() {
    let server = Server::start(&[]).await;
    for (query, text) in [(r#"{app="x"} | line_formt "y""#, "parse error"), (r#"rate({app="x"}[1m])"#, "the tail was ended: only log selector is supported")] {
        for target in [["--url", server.url.as_str()], ["--store", server.store.to_str().unwrap()]] {
            let output = run(&["tail", target[0], target[1], query], &[], b"");
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains(text), "{target:?}: {}", stderr(&output));
        }
    }
    let output = run(&["tail", "--url", "http://127.0.0.1:9", r#"{app="x"}"#], &[], b"");
    assert!(stderr(&output).contains("no answer from http://127.0.0.1:9"), "{}", stderr(&output));
}
