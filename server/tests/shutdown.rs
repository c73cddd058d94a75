//! The end of the process loses nothing that was acknowledged, and acknowledges what it can.

use std::time::Duration;

use store::env::Env;

use crate::support::{Server, THEN, json_push};

/// A container is killed after this long.
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_push_in_flight_is_stored_and_acknowledged() {
    // The second push would wait for a minute for others to share its object.
    let mut server = Server::start(&[("TARN_INGEST_FLUSH_INTERVAL", "60s")]).await;
    assert_eq!(server.push(json_push(&[("app", "x")], &[(THEN, "first")])).await.status(), 204);
    let clock = Env::system();
    let (response, ()) = tokio::join!(server.push(json_push(&[("app", "x")], &[(THEN + 1, "second")])), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.signal("TERM");
    });
    assert_eq!(response.status(), 204);
    let status = server.ended(LIMIT).await;
    assert!(status.success(), "{status}\n{}", server.log.lock().unwrap());
    assert!(clock.monotonic() < LIMIT, "{:?}", clock.monotonic());
    assert_eq!(server.stored_rows("fake"), 2);
}

#[tokio::test]
async fn an_idle_server_with_open_connections_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]).await;
        let address = server.url.strip_prefix("http://").unwrap().to_owned();
        let silent = tokio::net::TcpStream::connect(&address).await.unwrap();
        let keep_alive = crate::support::client();
        assert_eq!(keep_alive.get(server.at("/ready")).send().await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.signal(signal);
        assert!(server.ended(Duration::from_millis(1500)).await.success(), "{signal}");
        assert!(tokio::net::TcpStream::connect(&address).await.is_err());
        drop((silent, keep_alive));
    }
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_up_the_end() {
    use tokio::io::AsyncWriteExt as _;
    let mut server = Server::start(&[]).await;
    let mut stream = tokio::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"POST /loki/api/v1/push HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.signal("TERM");
    assert!(server.ended(LIMIT).await.success());
}
