//! Accepts connections and speaks HTTP/1.1, or HTTP/2 to a client that starts with its preface (prior knowledge).
//! Owns: time limits of a connection, graceful close. Must not know: routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::observe::Counted;
use crate::serve::state::App;

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
    let preface = tokio::select! {
        preface = tokio::time::timeout(HEAD_TIMEOUT, starts_http2(&stream)) => preface,
        () = told_to_stop(&mut stopped) => return,
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT).max_concurrent_streams(MAX_STREAMS);
    let builder = match preface {
        Ok(Ok(true)) => builder.http2_only(),
        Ok(Ok(false)) => builder.http1_only(),
        Ok(Err(_)) | Err(_) => return,
    };
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

/// Whether the client begins with HTTP/2's preface. No HTTP/1 method begins with its first three letters.
async fn starts_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        let start = first.get(..seen).unwrap_or_default();
        if start == PREFACE {
            return Ok(true);
        }
        if start.is_empty() || !PREFACE.starts_with(start) {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
