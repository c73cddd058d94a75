//! The WebSocket of a tail (spec/http-api.md section 5).
//! Owns: the upgrade, pings, how long a client may take, the close frame.
//! Must not know: what a tail sends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::extract::{FromRequestParts as _, Request, State, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use crate::roles::{LiveTail, ReadRequest};
use crate::serve::connections::Ended;
use crate::serve::observe::Counted;
use crate::serve::router::{respond, text, unavailable};
use crate::serve::state::App;
use crate::serve::tenant;

/// Pause between two pings, as Loki makes it.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client has nothing to say.
const MAX_INCOMING_BYTES: usize = 16 << 10;
/// The reason of a close frame has at most so many bytes (RFC 6455, 5.5).
const MAX_REASON_BYTES: usize = 123;

/// `GET /loki/api/v1/tail`. Parameters that cannot be read are answered 400; what else is wrong is told in the close frame, as Loki does: that is what Grafana shows.
pub(super) async fn tail(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some(reason) = app.phase().refusal() {
        return unavailable(reason);
    }
    let (mut head, _) = request.into_parts();
    // One tenant: what is new in several cannot be put in one order, and Loki refuses it too.
    let tenant = match tenant::of_request(&head.headers, app.config.auth_enabled) {
        Ok(tenant) => tenant,
        Err(refusal) => return text(refusal.status, refusal.message),
    };
    let request = ReadRequest {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        form: Bytes::new(),
        headers: head.headers.clone(),
        tenants: tenant.into(),
    };
    let start = match app.roles.tail(request) {
        Ok(start) => start,
        Err(answer) => return respond(*answer),
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("a tail is a WebSocket: {error}")),
    };
    // Before the upgrade, so that a line that is pushed once the client has its answer is shown.
    let begun = start.await;
    upgrade.max_message_size(MAX_INCOMING_BYTES).on_upgrade(move |socket| run(app, socket, begun))
}

async fn run(app: Arc<App>, mut socket: WebSocket, begun: Result<Box<dyn LiveTail>, String>) {
    let _open = Counted::new(&app.metrics.tails);
    let end = match begun {
        Ok(tail) => follow(&app, &mut socket, tail).await,
        Err(reason) => Some((close_code::ERROR, reason)),
    };
    if let Some((code, reason)) = end {
        let frame = CloseFrame { code, reason: shortened(&reason).into() };
        let _ = tokio::time::timeout(app.config.http.write_timeout, socket.send(Message::Close(Some(frame)))).await;
    }
    // Until the client has closed too, so that it reads the frame and no reset.
    let closed = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
}

/// Sends frames until there are no more. Returns what to tell the client, if it is still there.
async fn follow(app: &App, socket: &mut WebSocket, mut tail: Box<dyn LiveTail>) -> Option<(u16, String)> {
    let mut ping = tokio::time::interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stopping = app.stopping();
    tokio::pin!(stopping);
    loop {
        let message = tokio::select! {
            () = &mut stopping => return Some((close_code::AWAY, "the server is stopping".to_owned())),
            frame = tail.next() => match frame {
                Ok(frame) => Message::Text(frame.into()),
                Err(reason) => return Some((close_code::ERROR, reason)),
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => continue,
            },
        };
        // A client that takes longer to accept one frame is gone, or will never catch up.
        match tokio::time::timeout(app.config.http.write_timeout, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a tail's client left");
                return None;
            }
            Err(_) => {
                app.metrics.ended(Ended::WriteTimeout);
                tracing::info!(seconds = app.config.http.write_timeout.as_secs(), "a tail's client does not read: closed");
                return None;
            }
        }
    }
}

/// As much of the reason as a close frame has room for.
fn shortened(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"x".repeat(200)).len(), 123);
        assert_eq!(shortened(&"é".repeat(100)), "é".repeat(61));
    }
}
