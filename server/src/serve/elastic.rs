//! Elasticsearch's ingest API over HTTP: its routes, at the root and below `/elasticsearch`.
//! Must not know: what a path means, documents.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, head, post};
use http::header::CONTENT_ENCODING;
use http::{Method, StatusCode};
use ingest_fn::elastic::{ElasticRequest, elastic_refusal};
use schema::TenantId;

use crate::roles::RoleAnswer;
use crate::serve::router::respond;
use crate::serve::state::App;
use crate::serve::{ops, tenant};

/// Paths that belong to nobody else.
const OWN: [&str; 24] = [
    "/_bulk",
    "/_bulk/",
    "/_license",
    "/_xpack",
    "/_xpack/{*path}",
    "/_cluster/{*path}",
    "/_nodes",
    "/_nodes/{*path}",
    "/_cat/{*path}",
    "/_monitoring/bulk",
    "/_index_template/{*path}",
    "/_component_template/{*path}",
    "/_template/{*path}",
    "/_ilm/{*path}",
    "/_alias/{*path}",
    "/_data_stream/{*path}",
    "/_ingest/{*path}",
    "/{index}/_bulk",
    "/{index}/_doc",
    "/{index}/_doc/{id}",
    "/{index}/_create/{id}",
    "/elasticsearch",
    "/elasticsearch/",
    "/elasticsearch/{*path}",
];

pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let mut routes: Vec<(&'static str, MethodRouter<Arc<App>>)> = OWN.map(|path| (path, any(elastic))).into_iter().collect();
    // The rest of what lies at the root of the server is not about documents.
    routes.push(("/", get(elastic).fallback(ops::not_found)));
    routes.push(("/{index}", head(elastic).put(elastic).fallback(ops::not_found)));
    routes.push(("/{index}/_refresh", post(elastic).fallback(ops::not_found)));
    routes
}

/// Every request of the API. Refusals have Elasticsearch's shape and header, as its clients look at both.
async fn elastic(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some(reason) = app.phase().refusal() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let (head, incoming) = request.into_parts();
    let tenant = match tenant::of_request(&head.headers, app.config.auth_enabled) {
        Ok(tenant) => tenant,
        // Questions about the server are about nobody's documents.
        Err(_) if head.method == Method::GET || head.method == Method::HEAD => TenantId::default_tenant(),
        Err(missing) => return refusal(missing.status, &missing.message),
    };
    let body = match app.push_body(&head.headers, incoming).await {
        Ok(body) => body,
        Err(unread) => return refusal(unread.status, &unread.message),
    };
    let request = ElasticRequest {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_encoding: head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: body.bytes.clone(),
        tenant,
        method: head.method.clone(),
    };
    let mut response = respond(app.roles.elastic(request).await);
    if head.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

fn refusal(status: StatusCode, reason: &str) -> Response {
    respond(RoleAnswer::from(elastic_refusal(status, reason)))
}
