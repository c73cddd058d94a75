//! Clients that take what a server has: connections, time, memory. They are ended, the server stays small, and a client beside them notices nothing.
//!
//! What is measured is printed: `cargo test --release --workspace --locked --test main -- hostile --nocapture`.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use store::env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Server, THEN, client, json_push};

const IDLE: usize = 2000;
const SLOW_HEADS: usize = 300;
const FAT_HEADS: usize = 150;
const FAT_HEAD_BYTES: usize = 900 << 10;
const SLOW_BODIES: usize = 300;
const PLAIN_BODIES: usize = 4;
const CHUNKED_BODIES: usize = 2;
const BOMBS: usize = 4;
const STALLED_READERS: usize = 12;
const STALLED_STREAMS: usize = 4;
const STALLED_TAILS: usize = 4;
/// Of a client that behaves.
const ROUNDS: usize = 60;
const LINES_A_ROUND: usize = 100;
const BODY_LIMIT: usize = 64 << 20;
const LARGE_LINES: usize = 48_000;
const LARGE_LINE: usize = 1000;
/// What the process may take at most while all of this goes on. At the same time there may be 256 MiB of request bodies, as much of answers and as much of a body that is
/// being decompressed, 128 MiB of lines that are not stored yet, 64 MiB of heads, and what queries and tails take.
const MEMORY_BOUND: u64 = 3 << 29;

/// Without these limits the test would take minutes.
const SETTINGS: [(&str, &str); 7] = [
    ("TARN_HTTP_HEAD_TIMEOUT", "4s"),
    ("TARN_HTTP_IDLE_TIMEOUT", "20s"),
    ("TARN_HTTP_BODY_TIMEOUT", "6s"),
    ("TARN_HTTP_BODY_STALL_TIMEOUT", "3s"),
    ("TARN_HTTP_WRITE_TIMEOUT", "4s"),
    ("TARN_LIMITS_MAX_BODY_BYTES", "64MB"),
    ("TARN_INGEST_FLUSH_INTERVAL", "50ms"),
];

/// Clients and servers need a file for each connection; what they start inherits the limit.
fn allow_many_files() {
    let limit = format!("--nofile={}:", 16 << 10);
    let done = Command::new("prlimit").args([&limit, &format!("--pid={}", std::process::id())]).status().expect("prlimit of util-linux");
    assert!(done.success(), "the hard limit of open files is too low for this test: ulimit -Hn must be 16384 at least");
}

fn address(server: &Server) -> String {
    server.url.strip_prefix("http://").unwrap().to_owned()
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What comes until the server ends the connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    all
}

/// Sends a byte now and then until the server has had enough; what it answered.
async fn dribble(stream: TcpStream, byte: &'static [u8], pause: Duration) -> Vec<u8> {
    let (mut reading, mut writing) = stream.into_split();
    let mut answer = Vec::new();
    let dribbling = async {
        while writing.write_all(byte).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = reading.read_to_end(&mut answer) => {}
        () = dribbling => {}
    }
    answer
}

async fn slow_head(address: String) -> bool {
    let mut stream = connect(&address).await;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nx-long: ").await.unwrap();
    dribble(stream, b"x", Duration::from_millis(100)).await.is_empty()
}

async fn fat_head(address: String) -> bool {
    let mut stream = connect(&address).await;
    let mut head = b"GET /ready HTTP/1.1\r\nhost: x\r\nx-long: ".to_vec();
    head.resize(FAT_HEAD_BYTES, b'x');
    let _ = stream.write_all(&head).await;
    rest(&mut stream).await.is_empty()
}

/// A body that pauses for ever or dribbles, to a route that takes pushes or to another.
async fn slow_body(address: String, number: usize) -> bool {
    let path = ["/loki/api/v1/push", "/otlp/v1/logs", "/_bulk", "/tarn/api/v1/push?app=x", "/log_level", "/loki/api/v1/query"][number % 6];
    let mut stream = connect(&address).await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = if number.is_multiple_of(2) { dribble(stream, b"{", Duration::from_millis(100)).await } else { rest(&mut stream).await };
    // Exporters of OTLP repeat a 503, and would drop what was answered 408.
    answer.starts_with(if number % 6 == 1 { b"HTTP/1.1 503 " } else { b"HTTP/1.1 408 " })
}

/// One request that is answered, and then nothing.
async fn idle(address: String) -> TcpStream {
    let mut stream = connect(&address).await;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let bytes = stream.read(&mut answer).await.unwrap();
    assert!(answer[..bytes].starts_with(b"HTTP/1.1 200 ") && answer[..bytes].ends_with(b"ready\n"), "{}", String::from_utf8_lossy(&answer[..bytes]));
    stream
}

/// 100 MB of which the head says so, or not. Sends on whatever the server says, and then reads the answer.
async fn plain_body(address: String, chunked: bool) -> Vec<u8> {
    const SIZE: usize = 100 << 20;
    let block = vec![b' '; 1 << 20];
    let mut stream = connect(&address).await;
    let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {SIZE}") };
    let head = format!("POST /loki/api/v1/push HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..SIZE / block.len() {
        let sent = async {
            if chunked {
                stream.write_all(format!("{:x}\r\n", block.len()).as_bytes()).await?;
            }
            stream.write_all(&block).await?;
            if chunked { stream.write_all(b"\r\n").await } else { Ok(()) }
        };
        if sent.await.is_err() {
            break;
        }
    }
    rest(&mut stream).await
}

/// 1 GiB in a megabyte.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![b' '; 1 << 20];
    for _ in 0..1 << 10 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// A query whose answer is larger than what the kernel holds, of which only the beginning is read. Whether the rest never came.
async fn stalled_reader(address: String) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let request = format!("GET /loki/api/v1/query_range?{LARGE_ANSWER} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 512];
    let begun = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..begun]).into_owned();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    assert!(length > 8 << 20, "{length}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    begun + rest(&mut stream).await.len() < length
}

/// 10 MB.
const LARGE_ANSWER: &str = "query=%7Bapp%3D%22wide%22%7D&limit=100";

/// The same in HTTP/2, where the connection goes on and only the stream has no room.
async fn stalled_stream(server: &Server) -> bool {
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().http2_initial_stream_window_size(65_535);
    let request = http2.build().unwrap().get(server.at(&format!("/loki/api/v1/query_range?{LARGE_ANSWER}")));
    // On a busy machine this client may be so late that it is ended before it has seen the head.
    let Ok(response) = request.send().await else { return true };
    assert_eq!(response.status(), 200);
    tokio::time::sleep(Duration::from_secs(8)).await;
    response.bytes().await.is_err()
}

/// A tail that nobody reads. Whether the server closed it.
async fn stalled_tail(address: String) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!("GET /loki/api/v1/tail?query=%7Bapp%3D%22wide%22%7D&limit=100 HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 16];
    stream.read_exact(&mut head).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    tokio::time::sleep(Duration::from_secs(10)).await;
    // What the kernel still had, and then the end.
    rest(&mut stream).await;
    true
}

async fn count(server: &Server, app: &str) -> String {
    let query = format!("sum(count_over_time({{app=\"{app}\"}}[1h]))");
    let response = client().get(server.at("/loki/api/v1/query")).query(&[("query", query.as_str()), ("time", "1700003000")]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    answer["data"]["result"][0]["value"][1].as_str().unwrap_or("none").to_owned()
}

/// Pushes and counts, and expects every answer to be right.
async fn behave(server: &Server) {
    let http = client();
    for round in 0..ROUNDS {
        let lines: Vec<String> = (0..LINES_A_ROUND).map(|line| format!("round {round} line {line}")).collect();
        let entries: Vec<(i64, &str)> = lines.iter().enumerate().map(|(n, line)| (THEN + (round * LINES_A_ROUND + n) as i64 * 1000, line.as_str())).collect();
        let push = http.post(server.at("/loki/api/v1/push")).header("content-type", "application/json");
        let response = push.body(json_push(&[("app", "good")], &entries)).send().await.unwrap();
        assert_eq!(response.status(), 204, "round {round}");
        assert_eq!(count(server, "good").await, ((round + 1) * LINES_A_ROUND).to_string(), "round {round}");
    }
}

async fn metric(server: &Server, name: &str) -> u64 {
    let page = server.get("/metrics").await.text().await.unwrap();
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{page}"))
}

async fn ended(server: &Server, reason: &str) -> u64 {
    metric(server, &format!("tarn_http_connections_ended_total{{reason=\"{reason}\"}}")).await
}

fn trues(outcomes: Vec<bool>) -> usize {
    outcomes.into_iter().filter(|outcome| *outcome).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_are_ended_and_take_nothing_from_others() {
    allow_many_files();
    let bomb = bomb();
    let server = Arc::new(Server::start(&SETTINGS).await);
    let address = address(&server);
    let at_start = server.peak_memory();

    // A large push within the limit is taken.
    let line = "x".repeat(LARGE_LINE);
    let large: Vec<String> = (0..LARGE_LINES).map(|n| format!("{n} {line}")).collect();
    let entries: Vec<(i64, &str)> = large.iter().enumerate().map(|(n, line)| (THEN + n as i64 * 1_000_000, line.as_str())).collect();
    let body = json_push(&[("app", "large")], &entries);
    let large_bytes = body.len();
    assert!((40 << 20..BODY_LIMIT).contains(&large_bytes), "{large_bytes}");
    assert_eq!(server.push(body).await.status(), 204);
    assert_eq!(count(&server, "large").await, LARGE_LINES.to_string());
    // 40 MB of now, for answers and tails, of which the kernel takes some.
    let now = Env::system().now().as_nanos();
    for part in 0..8 {
        let wide = "y".repeat(100 << 10);
        let entries: Vec<(i64, &str)> = (0..50).map(|n| (now - part * 50 - n, wide.as_str())).collect();
        assert_eq!(server.push(json_push(&[("app", "wide")], &entries)).await.status(), 204);
    }
    let after_large = server.peak_memory();

    let clock = Env::system();
    let idle_streams: Vec<_> = (0..IDLE).map(|_| tokio::spawn(idle(address.clone()))).collect();
    let idle_streams: Vec<TcpStream> = join_all(idle_streams).await.into_iter().map(Result::unwrap).collect();
    assert!(metric(&server, "tarn_http_connections").await >= IDLE as u64);
    let others_are_done = AtomicBool::new(false);
    let spawn = |count: usize, make: &dyn Fn(usize) -> futures::future::BoxFuture<'static, bool>| {
        join_all((0..count).map(|n| tokio::spawn(make(n))).collect::<Vec<_>>())
    };
    let idle_clients = async {
        let closed = idle_streams.into_iter().map(|mut stream| async move { rest(&mut stream).await.is_empty() });
        trues(join_all(closed).await)
    };
    let done = |outcomes: Vec<Result<bool, tokio::task::JoinError>>| trues(outcomes.into_iter().map(Result::unwrap).collect());
    let to = |address: &str| address.to_owned();
    let heads = spawn(SLOW_HEADS, &|_| Box::pin(slow_head(to(&address))));
    let fat_heads = spawn(FAT_HEADS, &|_| Box::pin(fat_head(to(&address))));
    let bodies = spawn(SLOW_BODIES, &|n| Box::pin(slow_body(to(&address), n)));
    let readers = spawn(STALLED_READERS, &|_| Box::pin(stalled_reader(to(&address))));
    let tails = spawn(STALLED_TAILS, &|_| Box::pin(stalled_tail(to(&address))));
    let streams = spawn(STALLED_STREAMS, &|_| {
        let server = Arc::clone(&server);
        Box::pin(async move { stalled_stream(&server).await })
    });
    let plain = spawn(PLAIN_BODIES + CHUNKED_BODIES, &|n| {
        let answer = plain_body(to(&address), n >= PLAIN_BODIES);
        Box::pin(async move { answer.await.starts_with(b"HTTP/1.1 413 ") })
    });
    let bombs = join_all((0..BOMBS).map(|_| {
        let request = client().post(server.at("/loki/api/v1/push")).header("content-type", "application/json").header("content-encoding", "gzip");
        async { request.body(bomb.clone()).send().await.unwrap().status().as_u16() }
    }));
    let most_connections = async {
        let mut most = 0;
        while !others_are_done.load(Ordering::Relaxed) {
            most = most.max(metric(&server, "tarn_http_connections").await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        most
    };
    let ((idle, heads, fat_heads, bodies, readers), ((streams, tails, plain, bombs, ()), most)) =
        tokio::join!(async { tokio::join!(idle_clients, heads, fat_heads, bodies, readers) }, async {
            let hostile_and_good = async {
                let outcomes = tokio::join!(streams, tails, plain, bombs, behave(&server));
                others_are_done.store(true, Ordering::Relaxed);
                outcomes
            };
            tokio::join!(hostile_and_good, most_connections)
        });
    let took = clock.monotonic();
    let peak = server.peak_memory();
    let (heads, fat_heads, bodies, readers, streams, tails, plain) =
        (done(heads), done(fat_heads), done(bodies), done(readers), done(streams), done(tails), done(plain));
    let reasons = ["head_timeout", "head_memory", "idle_timeout", "write_timeout", "evicted", "refused"];
    let mut by_reason = Vec::new();
    for reason in reasons {
        by_reason.push((reason, ended(&server, reason).await));
    }
    println!(
        "{most} connections at once; {idle} of {IDLE} idle ones closed; ended: {heads} of {SLOW_HEADS} slow heads, {fat_heads} of {FAT_HEADS} heads of {} KiB, \
         {bodies} of {SLOW_BODIES} slow bodies (408, OTLP 503), {readers} of {STALLED_READERS} unread answers (HTTP/1), {streams} of {STALLED_STREAMS} (HTTP/2), {tails} of {STALLED_TAILS} unread tails; \
         413: {plain} of {} bodies of 100 MiB, bombs of 1 GiB: {bombs:?}; by reason: {by_reason:?}",
        FAT_HEAD_BYTES >> 10,
        PLAIN_BODIES + CHUNKED_BODIES,
    );
    println!(
        "memory of the server (VmHWM): {} MiB at start, {} MiB after a push of {} MiB, {} MiB in the end; {} pushes and as many queries beside it were right; {took:?}",
        at_start >> 20,
        after_large >> 20,
        large_bytes >> 20,
        peak >> 20,
        ROUNDS,
    );
    assert_eq!(idle, IDLE);
    assert_eq!((heads, fat_heads, bodies), (SLOW_HEADS, FAT_HEADS, SLOW_BODIES));
    assert_eq!((readers, streams, tails), (STALLED_READERS, STALLED_STREAMS, STALLED_TAILS));
    assert_eq!(plain, PLAIN_BODIES + CHUNKED_BODIES);
    // One that finds no room to be decompressed is told to come again.
    assert!(bombs.contains(&413) && bombs.iter().all(|status| [413, 503].contains(status)), "{bombs:?}");
    assert!(most >= IDLE as u64, "{most}");
    assert!(peak < MEMORY_BOUND, "{} MiB", peak >> 20);
    let of = |reason: &str| usize::try_from(by_reason.iter().find(|(known, _)| *known == reason).unwrap().1).unwrap();
    assert!(of("head_timeout") > 0 && of("head_memory") > 0 && of("idle_timeout") >= IDLE, "{by_reason:?}");
    // A client that asks in a hurry may open a connection that it then has no request for, which is ended as well.
    assert!(of("head_timeout") + of("head_memory") >= SLOW_HEADS + FAT_HEADS, "{by_reason:?}");
    assert_eq!(of("write_timeout"), STALLED_READERS + STALLED_STREAMS + STALLED_TAILS);
    assert_eq!((metric(&server, "tarn_http_body_bytes").await, metric(&server, "tarn_tails").await), (0, 0));
    assert_eq!(server.stored_rows("fake"), (LARGE_LINES + 8 * 50 + ROUNDS * LINES_A_ROUND) as u64);
}

#[tokio::test]
async fn an_idle_connection_makes_room_and_a_busy_one_does_not() {
    const MOST: usize = 10;
    let server = Server::start(&[("TARN_HTTP_MAX_CONNECTIONS", &MOST.to_string())]).await;
    let address = address(&server);
    let mut open = Vec::new();
    for _ in 0..MOST {
        let mut stream = connect(&address).await;
        stream.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        open.push(stream);
    }
    // The one that has been idle for longest goes, and the others stay. Connections of the start may not be gone yet, and go before it.
    let mut first = open.remove(0);
    let clock = Env::system();
    while tokio::time::timeout(Duration::from_millis(50), rest(&mut first)).await.is_err() {
        assert_eq!(server.get("/ready").await.status(), 200);
        assert!(clock.monotonic() < Duration::from_secs(30), "the first is not closed");
    }
    let mut last = open.pop().unwrap();
    last.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert_eq!(String::from_utf8(rest(&mut last).await).unwrap().matches("HTTP/1.1 200 ").count(), 1);
    drop((open, first, last));

    let mut busy = Vec::new();
    while busy.len() < MOST {
        let mut stream = connect(&address).await;
        stream
            .write_all(b"POST /loki/api/v1/push HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 14\r\nexpect: 100-continue\r\n\r\n")
            .await
            .unwrap();
        // Then it is being answered. Until the server has seen that those before are gone, there may be no room yet.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        match &answer {
            b"HTTP/1.1 100 Continue\r\n\r\n" => busy.push(stream),
            b"HTTP/1.1 503 Service Unav" => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
        assert!(clock.monotonic() < Duration::from_secs(60), "there is no room for {MOST}, only for {}", busy.len());
    }
    let answer = rest(&mut connect(&address).await).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\ntoo many connections.\n"), "{answer}");
    for stream in &mut busy {
        stream.write_all(b"{\"streams\":[]}").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 422");
    }
    assert!(ended(&server, "evicted").await >= 1 && ended(&server, "refused").await >= 1);
}

/// Without it a proxy that reuses the connection is answered with a reset.
#[tokio::test]
async fn a_refused_body_is_read_to_its_end_so_that_its_client_sees_the_answer() {
    let server = Server::start(&[("TARN_LIMITS_MAX_BODY_BYTES", "1MB")]).await;
    let pieces = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20])));
    let declared = client().post(server.at("/loki/api/v1/push")).header("content-type", "application/json").body(vec![b' '; 64 << 20]);
    let chunked = client().post(server.at("/loki/api/v1/push")).header("content-type", "application/json").body(reqwest::Body::wrap_stream(pieces.boxed()));
    for request in [declared, chunked] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 413);
        assert!(response.text().await.unwrap().starts_with("request body too large: the limit is 1048576 bytes"));
    }
}
