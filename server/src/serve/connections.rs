//! Accepts connections and speaks HTTP/1.1 or HTTP/2: over TLS what both sides agreed on, else HTTP/2 with a client that starts with its preface (prior knowledge).
//! Owns: when a connection is ended, graceful close. Must not know: routes, certificates.
//!
//! What a client may take is in `[http]` of the configuration. `registry` bounds the connections, `progress` the time and the memory of each, `exchange` sees requests and
//! answers for it, `stream` the socket. The time and the memory of request bodies are bounded where they are read (`serve/body.rs`).

mod exchange;
mod progress;
mod registry;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::state::App;
use crate::serve::tls::{self, Tls};
use exchange::Exchanges;
use registry::{Registered, Registry};
use stream::ClientStream;

pub(crate) use progress::{ClientMemory, Ended};

/// How often an HTTP/2 connection is asked whether its client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;
/// Largest head of a request: a long LogQL query in a URL must fit.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Pause after a failed accept, which means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// First and longest pause before another look at a client that has not sent enough to tell which version of HTTP it speaks.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PEEK_PAUSE: Duration = Duration::from_millis(200);
/// What a client is told for whom there is no room, as far as it listens.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 1\r\ncontent-length: 22\r\nconnection: close\r\n\r\ntoo many connections.\n";

/// Connections that may wait to be accepted: agents come back all at once after a restart, and the kernel resets those that find no place.
const BACKLOG: u32 = 4096;

/// Listens on `address`. Must run inside the runtime.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the connections of before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stopped` turns true, then lets the requests in flight finish. Dropping the future closes all connections.
pub(crate) async fn serve(listener: TcpListener, router: Router, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let registry = Registry::new(Arc::clone(&app));
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match registry.admit() {
                    Some(registered) => {
                        open.spawn(connection(stream, registered, router.clone(), Arc::clone(&app), stopped.clone()));
                    }
                    None => {
                        let _ = stream.try_write(REFUSAL);
                    }
                },
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

async fn connection(stream: TcpStream, registered: Registered, router: Router, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let progress = Arc::clone(registered.progress());
    match &app.tls {
        None => {
            // No HTTP/1 method begins with these letters of HTTP/2's preface.
            let is_http2 = tokio::select! {
                preface = starts_with(&stream, b"PRI") => preface,
                ended = progress.overdue() => return registered.ended(ended),
                () = told_to_stop(&mut stopped) => return,
            };
            if let Ok(is_http2) = is_http2 {
                speak(ClientStream::new(stream, registered), is_http2, router, stopped).await;
            }
        }
        Some(tls) => {
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(tls::HANDSHAKE_TIMEOUT, handshake(tls, stream)) => handshake,
                ended = progress.overdue() => return registered.ended(ended),
                () = told_to_stop(&mut stopped) => return,
            };
            match handshake {
                Ok(Ok(Some(stream))) => {
                    let is_http2 = tls::speaks_http2(&stream);
                    speak(ClientStream::new(stream, registered), is_http2, router, stopped).await;
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

/// Answers the requests of a connection until it ends, until it has to, or until told to stop and those in flight are answered.
async fn speak<S>(stream: ClientStream<S>, is_http2: bool, router: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (progress, registry) = (Arc::clone(stream.registered().progress()), Arc::clone(stream.registered().registry()));
    let mut builder = Builder::new(TokioExecutor::new());
    // The time that a head may take is ours to watch, since hyper's counts the time before it too.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT).max_concurrent_streams(MAX_STREAMS);
    let builder = if is_http2 {
        builder.http2_only()
    } else {
        progress.speaks_http1();
        builder.http1_only()
    };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), Exchanges::new(router, Arc::clone(&progress)));
    tokio::pin!(connection);
    let mut is_closing = false;
    let mut closing_for = None;
    let outcome = loop {
        tokio::select! {
            outcome = connection.as_mut() => break outcome,
            () = told_to_stop(&mut stopped), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = progress.overdue() => {
                let is_idle = ended == Ended::IdleTimeout;
                let is_needed = ended == Ended::Evicted && progress.idle_since().is_none();
                if is_closing || !(is_idle || is_needed) {
                    registry.ended(ended);
                    tracing::debug!(reason = ended.as_str(), "connection ended");
                    return;
                }
                // What is being answered is answered. A client of HTTP/2 is told, and does not lose a request that it sends at this moment.
                is_closing = true;
                connection.as_mut().graceful_shutdown();
                closing_for = Some(ended);
            }
        }
    };
    progress.upgraded();
    closing_for.into_iter().for_each(|ended| registry.ended(ended));
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

/// Also ends when the sender is gone: then nobody could tell any more.
pub(super) async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Whether the client begins with `expected`, which it may send in pieces.
async fn starts_with(stream: &TcpStream, expected: &[u8; 3]) -> std::io::Result<bool> {
    let mut first = [0; 3];
    let mut pause = PEEK_PAUSE;
    loop {
        let seen = stream.peek(&mut first).await?;
        let start = first.get(..seen).unwrap_or_default();
        if start == expected {
            return Ok(true);
        }
        if start.is_empty() || !expected.starts_with(start) {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PEEK_PAUSE);
    }
}
