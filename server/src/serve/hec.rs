//! Splunk's HTTP Event Collector over HTTP: its routes.
//! Must not know: events.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use http::header::CONTENT_ENCODING;
use ingest_fn::PushResponse;
use ingest_fn::hec::{HecRequest, hec_health, hec_no_acknowledgements, hec_refusal};

use crate::roles::RoleAnswer;
use crate::serve::router::respond;
use crate::serve::state::App;
use crate::serve::tenant;

const PREFIX: &str = "/services/collector";
const EVENTS: [&str; 3] = ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"];
const RAW: [&str; 2] = ["/services/collector/raw", "/services/collector/raw/1.0"];
const HEALTH: [&str; 2] = ["/services/collector/health", "/services/collector/health/1.0"];
const ACK: &str = "/services/collector/ack";

pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let events = EVENTS.into_iter().chain(RAW).map(|path| (path, post(collect)));
    let health = HEALTH.into_iter().map(|path| (path, get(health)));
    events.chain(health).chain([(ACK, post(acknowledgements))]).collect()
}

/// Whether `route` is one of these, whose clients read answers of their own kind.
pub(crate) fn is_collector(route: &str) -> bool {
    route.starts_with(PREFIX)
}

/// Whether `route` says how the collector is, which it says to everybody.
pub(crate) fn is_health(route: &str) -> bool {
    HEALTH.contains(&route)
}

async fn collect(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, incoming) = request.into_parts();
    if let Some(reason) = app.phase().refusal() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, true, reason);
    }
    let tenant = match tenant::of_request(&head.headers, app.config.auth_enabled) {
        Ok(tenant) => tenant,
        Err(refusal) => return refused(refusal.status, true, &refusal.message),
    };
    let body = match app.push_body(&head.headers, incoming).await {
        Ok(body) => body,
        Err(refusal) => return refused(refusal.status, true, &refusal.message),
    };
    let request = HecRequest {
        is_raw: RAW.contains(&head.uri.path()),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_encoding: head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: body.bytes.clone(),
        tenant,
    };
    respond(app.roles.hec(request).await)
}

async fn health(State(app): State<Arc<App>>) -> Response {
    answered(hec_health(app.phase().refusal()))
}

async fn acknowledgements() -> Response {
    answered(hec_no_acknowledgements())
}

/// A request that was refused before it was read.
pub(crate) fn refused(status: StatusCode, has_token: bool, reason: &str) -> Response {
    answered(hec_refusal(status, has_token, reason))
}

fn answered(response: PushResponse) -> Response {
    respond(RoleAnswer::from(response))
}
