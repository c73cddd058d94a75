//! Routes for operators and clients that look around: none of them touches the store.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use schema::QueryLimits;
use schema::quote::quote;
use serde::Serialize;

use crate::config::{Config, format_duration};
use crate::serve::router::{json, refused, text};
use crate::serve::state::{App, Phase};
use crate::serve::{metrics, tenant};

/// Largest form with a log level.
const MAX_LOG_LEVEL_BYTES: usize = 16 << 10;

/// `GET /ready`: 200 once the store is checked and until the process is told to stop, but for times in which the store does not answer.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.phase() {
        Phase::Ready if app.store_health.is_broken() => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: the store does not answer\n"),
        Phase::Ready => text(StatusCode::OK, "ready\n"),
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: the store is being checked\n"),
        Phase::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: the server is stopping\n"),
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut response = text(StatusCode::OK, metrics::render(&app));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

/// `GET /config`: the settings in force, secrets masked; `?mode=diff` those that were changed, `?mode=defaults` as if none were.
pub(crate) async fn config(State(app): State<Arc<App>>, uri: Uri) -> Response {
    match parameter(uri.query().unwrap_or_default(), "mode") {
        None | Some("") => text(StatusCode::OK, app.config.to_yaml()),
        Some("diff") => text(StatusCode::OK, app.config.diff_yaml()),
        Some("defaults") => text(StatusCode::OK, Config::default().to_yaml()),
        Some(other) => text(StatusCode::BAD_REQUEST, format!("unknown mode '{other}': it is diff or defaults\n")),
    }
}

/// `GET /config/tenant/v1/limits`.
pub(crate) async fn limits(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match tenant::of_request(&headers, app.config.auth_enabled) {
        Ok(tenant) => {
            let (ingest, query) = app.roles.limits().of(&tenant);
            text(StatusCode::OK, app.config.limits_yaml(&tenant, (&ingest, &query)))
        }
        Err(refusal) => text(refusal.status, refusal.message + "\n"),
    }
}

/// `GET /loki/api/v1/drilldown-limits`: what Grafana's Logs Drilldown adapts itself to; of several tenants the strictest.
pub(crate) async fn drilldown_limits(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let tenants = match tenant::of_read(&headers, app.config.auth_enabled, app.config.query.multi_tenant) {
        Ok(tenants) => tenants,
        Err(refusal) => return text(refusal.status, refusal.message + "\n"),
    };
    let of_each: Vec<_> = tenants.iter().map(|tenant| (tenant, app.roles.limits().of(tenant))).collect();
    let query = of_each.iter().map(|(_, (_, query))| QueryLimits::clone(query)).reduce(|a, b| a.strictest(&b)).unwrap_or_default();
    let discovers = of_each.iter().all(|(_, (ingest, _))| ingest.discover);
    let max_line_size = of_each.iter().map(|(_, (ingest, _))| ingest.max_line_size).min();
    let retention = of_each.iter().map(|(tenant, _)| app.config.compactor.retention_period(tenant)).filter(|period| !period.is_zero()).min();
    let length = |limit: Option<Duration>| limit.map_or_else(|| "0s".to_owned(), format_duration);
    let limits = serde_json::json!({
        "discover_log_levels": discovers,
        "max_entries_limit_per_query": query.max_entries_limit_per_query,
        "max_line_size": max_line_size,
        "max_query_bytes_read": query.max_query_bytes_read.map_or(0, std::num::NonZeroU64::get),
        "max_query_length": length(query.max_query_length),
        "max_query_lookback": length(query.max_query_lookback),
        "max_query_range": length(query.max_query_range),
        "max_query_series": query.max_query_series,
        "query_timeout": format_duration(query.query_timeout),
        "retention_period": length(retention),
        "required_labels": query.required_labels,
        "required_number_label_matchers": query.required_number_label_matchers,
        "volume_enabled": query.volume_enabled,
        "volume_max_series": query.volume_max_series,
    });
    json(StatusCode::OK, &serde_json::json!({"limits": limits, "pattern_ingester_enabled": true, "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /log_level`.
pub(crate) async fn log_level(State(app): State<Arc<App>>) -> Response {
    json(StatusCode::OK, &serde_json::json!({"message": format!("Current log level is {}", app.log.filter())}))
}

/// `POST /log_level?log_level=debug`, in the URL or as a form: takes effect at once and until the process ends.
pub(crate) async fn set_log_level(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = match app.bodies.read(&head.headers, body, MAX_LOG_LEVEL_BYTES).await {
        Ok(body) => body,
        Err(refusal) => return refused(refusal.status, &refusal.message, "\n"),
    };
    let (uri, form) = (head.uri, String::from_utf8_lossy(&body.bytes));
    let level = parameter(&form, "log_level").or_else(|| parameter(uri.query().unwrap_or_default(), "log_level")).unwrap_or_default();
    // The form of a filter such as store=debug is escaped by most clients.
    let level = level.replace("%3D", "=").replace("%2C", ",");
    if level.is_empty() || !app.log.set(&level) {
        return json(StatusCode::BAD_REQUEST, &serde_json::json!({"status": "failed", "message": format!("unrecognized log level {}", quote(&level))}));
    }
    json(StatusCode::OK, &serde_json::json!({"status": "success", "message": format!("Log level set to {level}")}))
}

/// The first value of a parameter, as sent.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// `GET /services`.
pub(crate) async fn services(State(app): State<Arc<App>>) -> Response {
    let state = match app.phase() {
        Phase::Starting => "Starting",
        Phase::Ready => "Running",
        Phase::Stopping => "Stopping",
    };
    let role = app.config.role;
    let mut out = format!("server => {state}\n");
    for (name, runs) in [("ingest", role.ingests()), ("query", role.queries()), ("compactor", role.compacts())] {
        if runs {
            out.push_str(&format!("{name} => {state}\n"));
        }
    }
    text(StatusCode::OK, out)
}

/// What Loki says of its build.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

/// `GET /loki/api/v1/status/buildinfo`, with the keys that Loki has.
pub(crate) async fn buildinfo() -> Response {
    json(
        StatusCode::OK,
        &BuildInfo {
            version: env!("CARGO_PKG_VERSION"),
            revision: option_env!("TARN_BUILD_REVISION").unwrap_or(""),
            branch: option_env!("TARN_BUILD_BRANCH").unwrap_or(""),
            build_user: "",
            build_date: option_env!("TARN_BUILD_DATE").unwrap_or(""),
            go_version: "",
        },
    )
}

/// Any path that nobody serves, with the body of Go's `http.NotFound`.
pub(crate) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}
