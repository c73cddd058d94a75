//! The routes of Loki's ruler. Tarn has none: alert rules are Grafana's own. Grafana's alert list asks these routes on every page, and shows an error
//! for answers other than those of a ruler that has no rules (spec/grafana-client.md section 8).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::serve::router::{json, text};
use crate::serve::state::App;
use crate::serve::tenant;

const NO_GROUPS: &str = "no rule groups found\n";
const NO_GROUP: &str = "group does not exist\n";

pub(super) fn routes() -> [(&'static str, MethodRouter<Arc<App>>); 8] {
    let groups = || get(no_groups).fallback(no_ruler);
    let group = || get(no_group).fallback(no_ruler);
    [
        ("/prometheus/api/v1/rules", get(no_rules)),
        ("/prometheus/api/v1/alerts", get(no_alerts)),
        ("/loki/api/v1/rules", groups()),
        ("/loki/api/v1/rules/{namespace}", groups()),
        ("/loki/api/v1/rules/{namespace}/{group}", group()),
        ("/api/prom/rules", groups()),
        ("/api/prom/rules/{namespace}", groups()),
        ("/api/prom/rules/{namespace}/{group}", group()),
    ]
}

/// Prometheus' answer, with the members that Loki always writes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<D> {
    status: &'static str,
    data: D,
    error_type: &'static str,
    error: &'static str,
}

#[derive(Debug, Serialize)]
struct Groups {
    groups: [(); 0],
}

#[derive(Debug, Serialize)]
struct Alerts {
    alerts: [(); 0],
}

/// `GET /prometheus/api/v1/rules`.
async fn no_rules(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    nothing(&app, &headers, Groups { groups: [] })
}

/// `GET /prometheus/api/v1/alerts`.
async fn no_alerts(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    nothing(&app, &headers, Alerts { alerts: [] })
}

fn nothing(app: &App, headers: &HeaderMap, data: impl Serialize) -> Response {
    match tenant::of_read(headers, app.config.auth_enabled, app.config.query.multi_tenant) {
        Ok(_) => json(StatusCode::OK, &Answer { status: "success", data, error_type: "", error: "" }),
        Err(refusal) => text(refusal.status, refusal.message + "\n"),
    }
}

async fn no_groups(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    not_there(&app, &headers, NO_GROUPS)
}

async fn no_group(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    not_there(&app, &headers, NO_GROUP)
}

fn not_there(app: &App, headers: &HeaderMap, what: &'static str) -> Response {
    match tenant::of_read(headers, app.config.auth_enabled, app.config.query.multi_tenant) {
        Ok(_) => text(StatusCode::NOT_FOUND, what),
        Err(refusal) => text(refusal.status, refusal.message + "\n"),
    }
}

/// Writing and deleting rules.
async fn no_ruler() -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this server has no ruler and stores no rules: alert rules that Grafana manages work with it\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}
