//! Around every request: the redirect of unclean paths, the count and duration, the log line, and the net under a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use http::{HeaderValue, StatusCode, header};
use ingest_fn::elastic::PREFIX;

use crate::serve::clean_path;
use crate::serve::router::text;
use crate::serve::state::App;

/// Requests that take longer are worth a line in the log at its default level.
const SLOW: Duration = Duration::from_secs(5);

/// What the middleware of one route knows.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) app: Arc<App>,
    /// The pattern, for metrics.
    pub(crate) route: &'static str,
}

/// Middleware of each route, the fallback included.
pub(crate) async fn observe(State(Observed { app, route }): State<Observed>, request: Request, next: Next) -> Response {
    let started = app.env.monotonic();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let _in_flight = Counted::new(&app.metrics.in_flight);

    // Clients of Elasticsearch follow no redirect, and join a URL that ends with a slash and a path that begins with one.
    let redirect = clean_path::redirect(&uri).filter(|_| !route.starts_with(PREFIX));
    let response = match redirect {
        Some(location) => moved(location),
        None => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                app.metrics.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%method, %uri, panic = panic_text(&*panic), "a handler panicked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error: the request could not be answered; the server's log says more")
            }
        },
    };
    let took = app.env.monotonic().saturating_sub(started);
    let status = response.status();
    app.metrics.answered(route, &method, status, took);
    // Being asked too early is what `/ready` is for.
    if (status.is_server_error() && route != "/ready") || took > SLOW {
        tracing::warn!(%method, %uri, status = status.as_u16(), milliseconds = took.as_millis(), "request");
    } else {
        tracing::debug!(%method, %uri, status = status.as_u16(), milliseconds = took.as_millis(), "request");
    }
    response
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
