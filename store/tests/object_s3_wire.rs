//! What goes over the wire to S3, against a server of this test that misbehaves on demand: the faults that no real server shows when asked.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use store::object::{Op, OpResult};
use store::{Env, ErrorKind, ObjectClient, PutOutcome, SwapOutcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Carries the request out and closes the connection.
    CloseAfter,
    /// Closes the connection.
    CloseBefore,
    /// Answers with this status, and does nothing.
    Status(u16),
    /// Carries the request out and answers with this status.
    StatusAfter(u16),
    /// Carries the request out and never answers.
    HangAfter,
    /// If-Match on a missing key: 412 as SeaweedFS, not 404 as AWS.
    MissingIs412,
}

#[derive(Default)]
struct Server {
    objects: BTreeMap<String, (Vec<u8>, String)>,
    writes: u64,
    faults: VecDeque<Fault>,
    requests: Vec<String>,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn status(status: u16) -> Answer {
    Answer { status, headers: vec![], body: format!("<Error><Code>S{status}</Code></Error>").into_bytes() }
}

impl Server {
    fn carry_out(&mut self, request: &Request, missing_is_412: bool) -> Answer {
        let key = request.path.split('?').next().unwrap().to_owned();
        let present = self.objects.get(&key).cloned();
        match request.method.as_str() {
            "PUT" => {
                let create = request.headers.get("if-none-match").map(String::as_str) == Some("*");
                match (create, request.headers.get("if-match"), &present) {
                    (true, _, Some(_)) => return status(412),
                    (_, Some(_), None) => return status(if missing_is_412 { 412 } else { 404 }),
                    (_, Some(wanted), Some((_, etag))) if wanted != etag => return status(412),
                    (false, None, _) => return status(400),
                    _ => {}
                }
                self.writes += 1;
                let etag = format!("\"e{}\"", self.writes);
                self.objects.insert(key, (request.body.clone(), etag.clone()));
                Answer { status: 200, headers: vec![("etag".into(), etag)], body: vec![] }
            }
            "GET" | "HEAD" => {
                let Some((body, etag)) = present else { return status(404) };
                let mut headers = vec![("etag".to_owned(), etag), ("last-modified".to_owned(), "Thu, 01 Jan 2026 00:00:00 GMT".to_owned())];
                let Some(range) = request.headers.get("range") else { return Answer { status: 200, headers, body } };
                let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let (start, end) = match (start.parse::<usize>(), end.parse::<usize>()) {
                    (Ok(start), Ok(end)) => (start, (end + 1).min(body.len())),
                    (Err(_), Ok(suffix)) => (body.len().saturating_sub(suffix), body.len()),
                    _ => panic!("range {range}"),
                };
                if start >= body.len() {
                    return status(416);
                }
                headers.push(("content-range".into(), format!("bytes {start}-{}/{}", end - 1, body.len())));
                Answer { status: 206, headers, body: body[start..end].to_vec() }
            }
            other => panic!("{other} {}", request.path),
        }
    }
}

async fn serve(server: Arc<Mutex<Server>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&server)));
        }
    });
    address
}

async fn connection(mut stream: TcpStream, server: Arc<Mutex<Server>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let (fault, answer) = {
            let mut server = server.lock().unwrap();
            server.requests.push(request.method.clone());
            let fault = server.faults.pop_front();
            let undone = matches!(fault, Some(Fault::CloseBefore | Fault::Status(_)));
            let answer = if undone { status(0) } else { server.carry_out(&request, fault == Some(Fault::MissingIs412)) };
            (fault, answer)
        };
        let answer = match fault {
            Some(Fault::CloseBefore | Fault::CloseAfter) => return,
            Some(Fault::HangAfter) => return tokio::time::sleep(std::time::Duration::from_secs(60)).await,
            Some(Fault::Status(code) | Fault::StatusAfter(code)) => status(code),
            Some(Fault::MissingIs412) | None => answer,
        };
        let mut text = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if request.method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some(Request { method, path, headers, body })
}

async fn client(faults: &[Fault]) -> (ObjectClient, Arc<Mutex<Server>>) {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(Arc::clone(&server)).await;
    let variables = [("AWS_ACCESS_KEY_ID", "t"), ("AWS_SECRET_ACCESS_KEY", "t"), ("AWS_ENDPOINT_URL", address.as_str()), ("AWS_TIMEOUT", "1 second")];
    let client = ObjectClient::open_with("s3://bucket/root", &Env::system(), variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    server.lock().unwrap().faults.extend(faults);
    (client, server)
}

fn methods(server: &Mutex<Server>) -> String {
    server.lock().unwrap().requests.join(" ")
}

const BODY: Bytes = Bytes::from_static(b"body with write id 7");

#[tokio::test]
async fn a_plain_create_is_one_request() {
    let (client, server) = client(&[]).await;
    assert_eq!(client.create("a/b", BODY).await.unwrap(), PutOutcome::Created);
    assert_eq!(methods(&server), "PUT");
    assert_eq!(server.lock().unwrap().objects.keys().collect::<Vec<_>>(), ["/bucket/root/a/b"]);
}

#[tokio::test]
async fn create_finds_out_what_happened() {
    use Fault::*;
    use PutOutcome::*;
    for (fault, outcome, requests) in [
        (CloseAfter, AlreadyExists, "PUT HEAD"),
        (StatusAfter(500), AlreadyExists, "PUT HEAD"),
        (StatusAfter(503), AlreadyExists, "PUT HEAD"),
        (HangAfter, AlreadyExists, "PUT HEAD"),
        (CloseBefore, Created, "PUT HEAD PUT"),
        (Status(503), Created, "PUT HEAD PUT"),
        (Status(409), Created, "PUT HEAD PUT"),
        (Status(412), Created, "PUT HEAD PUT"),
    ] {
        let (client, server) = client(&[fault]).await;
        assert_eq!(client.create("k", BODY).await.unwrap(), outcome, "{fault:?}");
        assert_eq!(methods(&server), requests, "{fault:?}");
        assert_eq!(server.lock().unwrap().objects["/bucket/root/k"].0, BODY, "{fault:?}");
    }
}

#[tokio::test]
async fn swap_finds_out_what_happened() {
    use Fault::*;
    for (fault, requests) in [
        (CloseAfter, "PUT GET"),
        (StatusAfter(503), "PUT GET"),
        (StatusAfter(412), "PUT GET"),
        (HangAfter, "PUT GET"),
        (CloseBefore, "PUT GET PUT"),
        (Status(503), "PUT GET PUT"),
        (Status(409), "PUT GET PUT"),
    ] {
        let (client, server) = client(&[]).await;
        let SwapOutcome::Committed(version) = client.swap("m", Bytes::from_static(b"old"), None).await.unwrap() else { panic!("first write") };
        server.lock().unwrap().requests.clear();
        server.lock().unwrap().faults.push_back(fault);
        let outcome = client.swap("m", BODY, Some(&version)).await.unwrap();
        let (body, etag) = server.lock().unwrap().objects["/bucket/root/m"].clone();
        assert_eq!((outcome, Bytes::from(body)), (SwapOutcome::Committed(store::Version::new(etag)), BODY), "{fault:?}");
        assert_eq!(methods(&server), requests, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_race_is_a_conflict_whatever_the_status() {
    for faults in [vec![], vec![Fault::MissingIs412]] {
        let (client, _server) = client(&faults).await;
        assert_eq!(client.swap("missing", BODY, Some(&store::Version::new("\"e9\""))).await.unwrap(), SwapOutcome::Conflict, "{faults:?}");
    }
    let (client, server) = client(&[]).await;
    client.create("m", Bytes::from_static(b"others")).await.unwrap();
    assert_eq!(client.swap("m", BODY, Some(&store::Version::new("\"e9\""))).await.unwrap(), SwapOutcome::Conflict);
    assert_eq!(client.swap("m", BODY, None).await.unwrap(), SwapOutcome::Conflict);
    assert_eq!(server.lock().unwrap().objects["/bucket/root/m"].0, b"others");
}

#[tokio::test]
async fn every_attempt_is_counted_and_kinds_are_told_apart() {
    let (busy, server) = client(&[Fault::Status(503), Fault::Status(500), Fault::CloseBefore]).await;
    server.lock().unwrap().objects.insert("/bucket/root/k".into(), (b"0123456789".to_vec(), "\"e\"".into()));
    assert_eq!(busy.get("k").await.unwrap(), Bytes::from_static(b"0123456789"));
    let counts = busy.stats().snapshot();
    assert_eq!((counts.requests(Op::Get, OpResult::Error), counts.requests(Op::Get, OpResult::Ok)), (3, 1));
    assert_eq!(methods(&server), "GET GET GET GET", "the client below repeats nothing by itself");
    for (code, kind) in [(403, ErrorKind::Denied), (401, ErrorKind::Denied), (404, ErrorKind::NotFound)] {
        server.lock().unwrap().faults.push_back(Fault::Status(code));
        assert_eq!(busy.get("k").await.unwrap_err().kind(), kind, "{code}");
    }
    for (range, text) in [(10..11u64, "10 bytes"), (5..11, "10 bytes"), (100..200, "10 bytes")] {
        let error = busy.get_ranges("k", std::slice::from_ref(&range)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precondition, "{range:?}: {}", error.chain());
        assert!(error.to_string().contains(text), "{error}");
    }
    let (refused, _server) = client(&[Fault::Status(404), Fault::Status(404)]).await;
    assert_eq!(refused.create("k", BODY).await.unwrap(), PutOutcome::Created, "a put that finds nothing is tried again");
}
