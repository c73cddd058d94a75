//! Accepts connections and speaks HTTP/1.1 or HTTP/2: over TLS what both sides agreed on, else HTTP/2 with a client that starts with its preface (prior knowledge).
//! Owns: time limits of a connection, graceful close. Must not know: routes, certificates.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::observe::Counted;
use crate::serve::state::App;
use crate::serve::tls::{self, Tls};

/// How long a client may take for the head of a request, and stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an HTTP/2 connection is asked whether its client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;
/// Largest head of a request: a long LogQL query in a URL must fit.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Pause after a failed accept, which means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often is looked whether more of a connection's beginning has come.
const PEEK_PAUSE: Duration = Duration::from_millis(5);

/// Serves until `stopped` turns true, then lets the requests in flight finish. Dropping the future closes all connections.
pub(crate) async fn serve(listener: TcpListener, router: Router, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, router.clone(), Arc::clone(&app), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let _counted = Counted::new(&app.metrics.connections);
    let _ = stream.set_nodelay(true);
    match &app.tls {
        None => {
            let is_http2 = tokio::select! {
                preface = tokio::time::timeout(HEAD_TIMEOUT, starts_with(&stream, b"PRI")) => preface,
                () = told_to_stop(&mut stopped) => return,
            };
            // No HTTP/1 method begins with these letters of HTTP/2's preface.
            if let Ok(Ok(is_http2)) = is_http2 {
                speak(stream, is_http2, router, stopped).await;
            }
        }
        Some(tls) => {
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(tls::HANDSHAKE_TIMEOUT, handshake(tls, stream)) => handshake,
                () = told_to_stop(&mut stopped) => return,
            };
            match handshake {
                Ok(Ok(Some(stream))) => {
                    let is_http2 = tls::speaks_http2(&stream);
                    speak(stream, is_http2, router, stopped).await;
                }
                failed => {
                    app.metrics.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                    match failed {
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        _ => tracing::debug!("no TLS handshake"),
                    }
                }
            }
        }
    }
}

/// `None`: the client spoke plain HTTP and was told so.
async fn handshake(tls: &Tls, mut stream: TcpStream) -> std::io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    const TOLD: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: 47\r\n\r\nthis address speaks HTTPS: use https:// in URL\n";
    let mut first = [0];
    // A method begins with a letter, a handshake with the byte 22.
    if stream.peek(&mut first).await? == 1 && first.iter().all(u8::is_ascii_uppercase) {
        // What is left unread when a socket is closed can take the answer with it.
        let mut request = [0; 16 << 10];
        let _ = stream.read(&mut request).await?;
        stream.write_all(TOLD).await?;
        return Ok(None);
    }
    tls.accept(stream).await.map(Some)
}

/// Answers the requests of a connection until it ends, or until told to stop and those in flight are answered.
async fn speak<S>(stream: S, is_http2: bool, router: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT).max_concurrent_streams(MAX_STREAMS);
    let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = told_to_stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

/// Also ends when the sender is gone: then nobody could tell any more.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Whether the client begins with `expected`, which it may send in pieces.
async fn starts_with(stream: &TcpStream, expected: &[u8; 3]) -> std::io::Result<bool> {
    let mut first = [0; 3];
    loop {
        let seen = stream.peek(&mut first).await?;
        let start = first.get(..seen).unwrap_or_default();
        if start == expected {
            return Ok(true);
        }
        if start.is_empty() || !expected.starts_with(start) {
            return Ok(false);
        }
        tokio::time::sleep(PEEK_PAUSE).await;
    }
}
