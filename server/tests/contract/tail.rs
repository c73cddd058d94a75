//! Section 7: live tailing. Section 11, idea 8.

use futures::{SinkExt as _, StreamExt as _};
use store::env::Env;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// A tail of a path with its query, or the status and body that came in its place.
async fn open(server: &Server, target: &str) -> Result<Socket, (u16, String)> {
    let address = server.url.strip_prefix("http://").unwrap();
    let request = format!("ws://{address}{target}").into_client_request().unwrap();
    match tokio_tungstenite::client_async(request, TcpStream::connect(address).await.unwrap()).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err((answer.status().as_u16(), String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap())),
        Err(other) => panic!("{other}"),
    }
}

async fn message(socket: &mut Socket) -> Option<Result<Message, Error>> {
    tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing came")
}

/// The next frame as it came.
async fn frame(socket: &mut Socket) -> String {
    loop {
        match message(socket).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn tail_of(query: &str) -> String {
    format!("/loki/api/v1/tail?{}", form(&[("query", query)]))
}

/// Explore sends the query alone: history of an hour, then what comes, with elements of two.
#[tokio::test]
async fn s07_explore_tails_with_a_query_alone() {
    let server = Server::start(&[QUICK]).await;
    let now = Env::system().now().as_nanos();
    push(&server, SHOP, &[(now - 10 * SECOND, "earlier <b>", &[("trace_id", "t1")]), (now - 2 * HOUR, "too early", &[])]).await;
    let mut socket = open(&server, &tail_of(r#"{app="shop"}"#)).await.unwrap();
    let expected = |level: &str, trace: &str, at: i64, line: &str| {
        let stream = format!(r#"{{"app":"shop","detected_level":"{level}","env":"prod","service_name":"shop"{trace}}}"#);
        format!(r#"{{"streams":[{{"stream":{stream},"values":[["{at}","{line}"]]}}]}}"#)
    };
    assert_eq!(frame(&mut socket).await, expected("unknown", r#","trace_id":"t1""#, now - 10 * SECOND, r"earlier \u003cb\u003e"));
    push(&server, SHOP, &[(now, "level=warn", &[])]).await;
    assert_eq!(frame(&mut socket).await, expected("warn", "", now, "level=warn"));
    // What keeps the connection alive is no frame of text.
    let ping = message(&mut socket).await.unwrap().unwrap();
    assert!(matches!(&ping, Message::Ping(payload) if payload.is_empty()), "{ping:?}");
}

/// A client that closes is let go with the same code.
#[tokio::test]
async fn s07_a_clean_close_is_answered() {
    let server = Server::start(&[QUICK]).await;
    let mut socket = open(&server, &tail_of(r#"{app="shop"}"#)).await.unwrap();
    socket.send(Message::Close(None)).await.unwrap();
    while let Some(answer) = message(&mut socket).await {
        match answer {
            Ok(Message::Ping(_)) => {}
            Ok(Message::Close(_)) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// A server that dies leaves no close frame, which clients take for 1006 and come again; then they get the history anew.
#[tokio::test]
async fn s07_an_abnormal_close_and_coming_again() {
    let server = Server::start(&[QUICK]).await;
    let now = Env::system().now().as_nanos();
    push(&server, SHOP, &[(now, "kept", &[])]).await;
    let mut socket = open(&server, &tail_of(r#"{app="shop"}"#)).await.unwrap();
    assert!(frame(&mut socket).await.contains(r#""kept""#));
    server.signal("KILL");
    loop {
        match message(&mut socket).await {
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => break,
        }
    }
    let again = Server::start_on(&server.store, &[]).await;
    let mut socket = open(&again, &tail_of(r#"{app="shop"}"#)).await.unwrap();
    assert!(frame(&mut socket).await.contains(r#""kept""#));
}

/// logcli: a limit, a start, a delay.
#[tokio::test]
async fn s07_logcli_tails_with_limit_start_and_delay() {
    let server = Server::start(&[QUICK]).await;
    let now = Env::system().now().as_nanos();
    let lines: Vec<(i64, String)> = (0..40).map(|n| (now - (60 - n) * SECOND, format!("line {n:02}"))).collect();
    let entries: Vec<Entry<'_>> = lines.iter().map(|(at, line)| (*at, line.as_str(), &[][..])).collect();
    push(&server, SHOP, &entries).await;
    let start = (now - HOUR).to_string();
    let mut socket =
        open(&server, &format!("/loki/api/v1/tail?{}", form(&[("query", r#"{app="shop"}"#), ("limit", "30"), ("start", &start), ("delay_for", "1")])))
            .await
            .unwrap();
    let mut found = Vec::new();
    while found.len() < 30 {
        let frame: Value = serde_json::from_str(&frame(&mut socket).await).unwrap();
        assert_eq!(frame.as_object().unwrap().keys().collect::<Vec<_>>(), ["streams"]);
        found.extend(frame["streams"].as_array().unwrap().iter().flat_map(|s| s["values"].as_array().unwrap()).map(|v| v[1].as_str().unwrap().to_owned()));
    }
    // The newest ones, oldest first.
    assert_eq!(found, (10..40).map(|n| format!("line {n:02}")).collect::<Vec<_>>());
}

/// What is wrong is told before the connection is a WebSocket, so that a client can show it.
#[tokio::test]
async fn s07_refusals_come_before_the_upgrade() {
    let server = Server::start(&[]).await;
    let (status, text) = open(&server, &tail_of(r#"{app="shop""#)).await.unwrap_err();
    assert!(status == 400 && text.starts_with("parse error at line 1, col 12: "), "{status} {text}");
    let refused = open(&server, "/loki/api/v2alpha/tail?query=%7Bapp%3D%22shop%22%7D").await.unwrap_err();
    assert_eq!(refused, (404, "404 page not found\n".to_owned()));
    let plain = send(&server, "GET", &tail_of(r#"{app="shop"}"#), &[], b"").await;
    assert_eq!(plain.refusal().0, 400);
}

/// The older route, in its form.
#[tokio::test]
async fn s07_the_older_route_tails_too() {
    let server = Server::start(&[QUICK]).await;
    let now = Env::system().now().as_nanos();
    push(&server, SHOP, &[(now, "older", &[])]).await;
    let mut socket = open(&server, "/api/prom/tail?query=%7Bapp%3D%22shop%22%7D").await.unwrap();
    let shape = shape(&frame(&mut socket).await);
    assert_eq!(shape, "{streams:[{labels:s,entries:[{ts:s,line:s}]}]}");
}
