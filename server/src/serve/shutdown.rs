//! The end: told to stop, the process answers what is in flight and makes every accepted line durable first.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal as listen};
use tokio::task::JoinHandle;

use crate::serve::state::App;

/// Requests in flight have this long before pushes that wait for company are written at once and further ones are refused.
const GRACE: Duration = Duration::from_secs(2);
/// Everything has this long; with what follows it stays below the 10 s that a container gets.
const DRAIN: Duration = Duration::from_secs(8);
/// How often is looked whether a tail is still open.
const TAIL_CHECK: Duration = Duration::from_millis(10);

/// Ends when the process is told to stop, by SIGTERM or by Ctrl-C.
pub(crate) async fn signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt())) else {
        tracing::error!("cannot listen for signals: the process will not stop gracefully");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Lets the requests in flight finish and makes every accepted push durable, for at most [`DRAIN`]. `connections` has been told to stop.
pub(crate) async fn drain(app: &App, mut connections: JoinHandle<()>) {
    tracing::info!("stopping: no new connections, finishing what is in flight");
    let finish = async {
        let early = tokio::time::timeout(GRACE, &mut connections).await.is_ok();
        // A push whose client hung up may still wait in the ingester.
        app.roles.shut_down().await;
        if !early {
            let _ = (&mut connections).await;
        }
        // Tails have left their connections' tasks; they are closing.
        while app.metrics.tails.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(TAIL_CHECK).await;
        }
    };
    tokio::select! {
        () = finish => tracing::info!("stopped"),
        () = tokio::time::sleep(DRAIN) => tracing::warn!(seconds = DRAIN.as_secs(), "requests in flight took too long and are not answered"),
        () = signal() => tracing::warn!("told to stop twice: requests in flight are not answered"),
    }
    connections.abort();
}
