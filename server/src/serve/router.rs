//! Which path goes where. A handler decodes HTTP, calls a role, and encodes its answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::firehose;
use crate::roles::{LINES, OTLP_LOGS, ReadRequest, RoleAnswer};
use crate::serve::access::{Guarded, guard};
use crate::serve::observe::{Observed, observe};
use crate::serve::state::App;
use crate::serve::{compress, elastic, grpc, hec, ops, rules, tail, tenant};

pub(super) const PUSH_ROUTES: [&str; 4] = ["/loki/api/v1/push", "/api/prom/push", OTLP_LOGS, LINES];

/// Read routes that have a metric of their own.
const READ_ROUTES: [&str; 20] = [
    "/loki/api/v1/query",
    "/loki/api/v1/query_range",
    "/loki/api/v1/labels",
    "/loki/api/v1/label",
    "/loki/api/v1/label/{name}/values",
    "/loki/api/v1/series",
    "/loki/api/v1/index/stats",
    "/loki/api/v1/index/volume",
    "/loki/api/v1/index/volume_range",
    "/loki/api/v1/index/shards",
    "/loki/api/v1/detected_labels",
    "/loki/api/v1/detected_fields",
    "/loki/api/v1/detected_field/{name}/values",
    "/loki/api/v1/patterns",
    "/loki/api/v1/format_query",
    "/api/prom/query",
    "/api/prom/label",
    "/api/prom/label/{name}/values",
    "/api/prom/series",
    "/tarn/api/v1/explain",
];

const TAIL_ROUTES: [&str; 2] = ["/loki/api/v1/tail", "/api/prom/tail"];

/// Below these the query role answers too, if only that a path is unknown.
const READ_PREFIXES: [&str; 3] = ["/loki/api/v1/{*path}", "/api/prom/{*path}", "/tarn/api/v1/{*path}"];

/// Largest form of a read request, as Go's `ParseForm` allows.
const MAX_FORM_BYTES: usize = 10 << 20;

/// The routes of the roles that this process has.
pub(crate) fn build(app: &Arc<App>) -> Router {
    let mut routes: Vec<(&'static str, MethodRouter<Arc<App>>)> = vec![
        ("/ready", get(ops::ready)),
        ("/metrics", get(ops::metrics)),
        ("/config", get(ops::config)),
        ("/config/tenant/v1/limits", get(ops::limits)),
        ("/log_level", get(ops::log_level).post(ops::set_log_level)),
        ("/services", get(ops::services)),
        ("/loki/api/v1/status/buildinfo", get(ops::buildinfo)),
    ];
    if app.config.role.ingests() {
        routes.extend(PUSH_ROUTES.map(|path| (path, post(push))));
        routes.push(("/aws/firehose", post(firehose::deliver)));
        routes.extend(elastic::routes());
        routes.extend(hec::routes());
    }
    if app.config.role.queries() {
        // The role refuses other methods.
        routes.extend(READ_ROUTES.map(|path| (path, any(read))));
        routes.extend(TAIL_ROUTES.map(|path| (path, get(tail::tail))));
        routes.push(("/loki/api/v1/delete", any(read)));
        routes.extend(READ_PREFIXES.map(|path| (path, any(read))));
        routes.push(("/loki/api/v1/drilldown-limits", get(ops::drilldown_limits)));
        routes.extend(rules::routes());
    }
    let observed = |route| from_fn_with_state(Observed { app: Arc::clone(app), route }, observe);
    let guarded = |route| from_fn_with_state(Guarded { app: Arc::clone(app), route }, guard);
    // The outer layer comes last. No route goes without both.
    let mut router = routes.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods.layer(guarded(path)).layer(observed(path))));
    if app.config.role.ingests() {
        for (path, method) in grpc::ROUTES {
            let call = move |state, request| grpc::call(method, state, request);
            router = router.route(path, post(call).layer(guarded(path)).layer(observed(path)).layer(from_fn(grpc::translate)));
        }
    }
    router.with_state(Arc::clone(app)).fallback_service(any(ops::not_found).layer(guarded("other")).layer(observed("other")))
}

/// The push routes. Errors end with a newline, as Go's `http.Error` writes them; those of OTLP are what its exporters read.
async fn push(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, incoming) = request.into_parts();
    let refuse = |status: StatusCode, message: &str| {
        if head.uri.path() == OTLP_LOGS {
            let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            return ingest_fn::otlp_refusal(status, content_type, message).map(Body::from);
        }
        refused(status, message, "\n")
    };
    if let Some(reason) = app.phase().refusal() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let tenant = match tenant::of_request(&head.headers, app.config.auth_enabled) {
        Ok(tenant) => tenant,
        Err(refusal) => return refuse(refusal.status, &refusal.message),
    };
    let body = match app.push_body(&head.headers, incoming).await {
        Ok(body) => body,
        Err(refusal) => return refuse(refusal.status, &refusal.message),
    };
    respond(app.roles.push(&head.uri, &head.headers, body.bytes.clone(), tenant).await)
}

/// Every read route. Errors have no newline.
async fn read(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some(reason) = app.phase().refusal() {
        return unavailable(reason);
    }
    let (head, incoming) = request.into_parts();
    let tenants = match tenant::of_read(&head.headers, app.config.auth_enabled, app.config.query.multi_tenant) {
        Ok(tenants) => tenants,
        // Formatting reads no tenant's data, so Loki asks for none.
        Err(_) if head.uri.path() == "/loki/api/v1/format_query" => schema::TenantId::default_tenant().into(),
        Err(refusal) => return text(refusal.status, refusal.message),
    };
    let form = match app.bodies.read(&head.headers, incoming, MAX_FORM_BYTES).await {
        Ok(form) => form.bytes.clone(),
        Err(refusal) => return refused(refusal.status, &refusal.message, ""),
    };
    if app.client_memory.answers() > app.config.http.max_answer_memory {
        return unavailable("request refused, retry it: clients leave too many answers unread");
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    let takes_gzip = compress::takes_gzip(&head.headers);
    let answer = app.roles.read(ReadRequest { method: head.method, path: head.uri.path().to_owned(), query, form, headers: head.headers, tenants }).await;
    respond(compress::for_client(takes_gzip, answer).await)
}

/// A refusal in text; one for want of room is worth another try.
pub(crate) fn refused(status: StatusCode, message: &str, end: &str) -> Response {
    let mut response = text(status, format!("{message}{end}"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// 503 with the reason; worth another try.
pub(crate) fn unavailable(reason: &str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A role's answer as HTTP.
pub(crate) fn respond(answer: RoleAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if answer.status.is_client_error() || answer.status.is_server_error() {
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// A plain text answer, as Go's `http.Error` sends it.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON answer, its members in the order in which the type declares them, with the newline that Loki's encoder writes.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = match serde_json::to_string(value) {
        Ok(body) => body + "\n",
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal error: an answer cannot be written as JSON: {error}")),
    };
    let mut response = text(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response
}
