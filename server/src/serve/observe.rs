//! Around every request: its id, the redirect of unclean paths, the count and duration, the log line, and the net under a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ingest_fn::elastic::PREFIX;
use store::env::Env;
use tracing::Instrument as _;

use crate::serve::clean_path;
use crate::serve::router::text;
use crate::serve::state::App;

/// Requests that take longer are worth a line in the log at its default level.
const SLOW: Duration = Duration::from_secs(5);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What the middleware of one route knows.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) app: Arc<App>,
    /// The pattern, for metrics.
    pub(crate) route: &'static str,
}

/// Middleware of each route, the fallback included.
pub(crate) async fn observe(State(Observed { app, route }): State<Observed>, mut request: Request, next: Next) -> Response {
    let started = app.env.monotonic();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let _in_flight = Counted::new(&app.metrics.in_flight);
    let id = request_id(request.headers(), &app.env);
    // For whoever the handler asks in turn; and nobody else's gets past here.
    let header = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"));
    request.headers_mut().insert(REQUEST_ID, header.clone());

    // Clients of Elasticsearch follow no redirect, and join a URL that ends with a slash and a path that begins with one.
    let redirect = clean_path::redirect(&uri).filter(|_| !route.starts_with(PREFIX));
    let mut response = match redirect {
        Some(location) => moved(location),
        // What is logged on the way has the id, whatever the level is.
        None => match AssertUnwindSafe(next.run(request).instrument(tracing::error_span!("request", request_id = id))).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                app.metrics.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(request_id = id, %method, %uri, panic = panic_text(&*panic), "a handler panicked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error: the request could not be answered; the server's log says more")
            }
        },
    };
    response.headers_mut().insert(REQUEST_ID, header);
    let took = app.env.monotonic().saturating_sub(started);
    let status = response.status();
    app.metrics.answered(route, &method, status, took);
    // Being asked too early is what `/ready` is for.
    if (status.is_server_error() && route != "/ready") || took > SLOW {
        tracing::warn!(request_id = id, %method, %uri, status = status.as_u16(), milliseconds = took.as_millis(), "request");
    } else {
        tracing::debug!(request_id = id, %method, %uri, status = status.as_u16(), milliseconds = took.as_millis(), "request");
    }
    response
}

/// The id that the client or a proxy gave the request, if it is one that can stand in a log, or a new one.
fn request_id(headers: &HeaderMap, env: &Env) -> String {
    let mut given = headers.get_all(REQUEST_ID).iter();
    let only = given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok());
    let is_sane =
        |id: &&str| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte));
    only.filter(is_sane).map_or_else(|| format!("{:016x}{:016x}", env.random_u64(), env.random_u64()), str::to_owned)
}

fn moved(location: HeaderValue) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Adds one while it lives; also when the request is dropped because its client left.
pub(crate) struct Counted<'a>(&'a AtomicI64);

impl<'a> Counted<'a> {
    pub(crate) fn new(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use schema::Timestamp;

    use super::*;

    #[test]
    fn an_id_is_taken_as_it_is_or_made() {
        let env = Env::seeded(Timestamp(0), 1);
        let id = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            }
            request_id(&headers, &env)
        };
        for sane in ["a", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef012345678912345678", "host/1.2:3+4=@_", &"x".repeat(128)] {
            assert_eq!(id(&[sane.as_bytes()]), sane);
        }
        let mut made = Vec::new();
        let others: [&[&[u8]]; 9] = [&[], &[b""], &[b"a b"], &[b"a\"b"], &["é".as_bytes()], &[&[b'x'; 129]], &[b"a", b"a"], &[b"a,b"], &[b"{}"]];
        for other in others {
            made.push(id(other));
        }
        assert!(made.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{made:?}");
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 9);
    }
}
