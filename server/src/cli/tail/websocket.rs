//! The client's side of a WebSocket, on a connection of the client that makes all other requests: so TLS, proxies and headers are the same for all.
//! Owns: the handshake, what a message means for a tail, when a silent connection counts as lost.
//! Must not know: what is in a frame.

use std::time::Duration;

use futures::StreamExt as _;
use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{RequestBuilder, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(crate) use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::{Event, TailSource};
use crate::cli::client::error_text;
use crate::error::TarnError;

/// Servers ping every second: after so long nobody is there.
const SILENCE: Duration = Duration::from_secs(60);

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<Upgraded>;

/// What asks for the upgrade.
pub(crate) fn upgrade_headers(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // A key is base64, which fits.
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    headers
}

/// Sends the request and upgrades its connection.
pub(crate) async fn open(request: RequestBuilder, key: &str, url: &str) -> Result<TailSource, TarnError> {
    let unreachable = |source| TarnError::Unreachable { url: url.to_owned(), source: Box::new(source) };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Err(TarnError::Answer { url: url.to_owned(), what: format!("it answered {status} where a WebSocket was asked for") });
        }
        return Err(TarnError::Refused { status, message: error_text(status, &body) });
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes());
    if !accepted {
        return Err(TarnError::Answer { url: url.to_owned(), what: "the Sec-WebSocket-Accept of the upgrade".to_owned() });
    }
    let upgraded = response.upgrade().await.map_err(unreachable)?;
    Ok(TailSource::Socket(Box::new(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)))
}

/// The next thing that concerns the tail.
pub(crate) async fn next(socket: &mut Socket) -> Event {
    loop {
        return match tokio::time::timeout(SILENCE, socket.next()).await {
            Ok(Some(Ok(Message::Text(frame)))) => Event::Frame(frame.as_str().to_owned()),
            Ok(Some(Ok(Message::Close(Some(frame))))) => Event::Ended { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
            Ok(Some(Ok(Message::Close(None)))) => Event::Ended { code: super::NORMAL, reason: String::new() },
            Ok(Some(Ok(_))) => continue,
            Ok(Some(Err(error))) => Event::Lost { why: error.to_string() },
            Ok(None) => Event::Lost { why: "the connection was closed".to_owned() },
            Err(_) => Event::Lost { why: format!("nothing came for {} s", SILENCE.as_secs()) },
        };
    }
}

/// Says goodbye.
pub(crate) async fn close(socket: &mut Socket) {
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(None)).await;
}
