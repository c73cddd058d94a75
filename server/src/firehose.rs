//! `POST /aws/firehose`: the endpoint that Amazon Data Firehose delivers to.
//! Owns: the access key, whose the lines are. Must not know: what is in a request.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use ingest_fn::PushResponse;
use ingest_fn::aws::{self, FirehoseRequest, Lake, access_key_matches, firehose_refusal};
use schema::TenantId;

use crate::config::Config;
use crate::roles::RoleAnswer;
use crate::serve::state::App;
use crate::serve::{router, tenant};

/// What Firehose may do here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FirehoseConfig {
    /// What a stream must know; `None`: nothing.
    pub(crate) access_key: Option<Secret>,
    /// Whose the lines are, since Firehose cannot send a tenant.
    pub(crate) tenant: Option<TenantId>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the events of AWS sources are read for the store of `config`: no rules, lines for `tenant`.
pub fn aws_settings(config: &Config, tenant: TenantId) -> aws::Settings {
    aws::Settings { lake: lake(&config.store), ..aws::Settings::new(tenant, config.ingest_limits.clone()) }
}

/// Where the store is, if it is in S3.
fn lake(store: &str) -> Option<Lake> {
    let (bucket, prefix) = store.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
    Some(Lake { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// Takes a delivery. Every answer is the JSON that Firehose wants.
pub(crate) async fn deliver(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let refuse =
        |status, message: &str| respond(firehose_refusal(status, header(&head.headers, "x-amz-firehose-request-id").as_deref(), app.env.now(), message));
    if let Some(reason) = app.phase().refusal() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let config = &app.config.firehose;
    let presented = header(&head.headers, "x-amz-firehose-access-key");
    if config.access_key.as_ref().is_some_and(|expected| !access_key_matches(presented.as_deref(), &expected.0)) {
        return refuse(StatusCode::UNAUTHORIZED, "the access key is wrong: it must be that of firehose.access_key (TARN_FIREHOSE_ACCESS_KEY)");
    }
    // A key says who may write. Without one, tenants are as safe as those of other pushes.
    let must_name_tenant = app.config.auth_enabled && (config.access_key.is_none() || config.tenant.is_none());
    let tenant = match (&config.tenant, tenant::of_request(&head.headers, must_name_tenant)) {
        (Some(tenant), _) if !must_name_tenant && !head.headers.contains_key(tenant::TENANT_HEADER) => tenant.clone(),
        (_, Ok(tenant)) => tenant,
        (_, Err(refusal)) => return refuse(refusal.status, &format!("{}; set firehose.access_key and firehose.tenant", refusal.message)),
    };
    let body = match app.push_body(&head.headers, body).await {
        Ok(body) => body,
        Err(refusal) => return refuse(refusal.status, &refusal.message),
    };
    let request = FirehoseRequest {
        request_id: header(&head.headers, "x-amz-firehose-request-id"),
        source_arn: header(&head.headers, "x-amz-firehose-source-arn"),
        common_attributes: header(&head.headers, "x-amz-firehose-common-attributes"),
        content_encoding: header(&head.headers, "content-encoding"),
        body: body.bytes.clone(),
        tenant,
    };
    router::respond(app.roles.firehose(request).await)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn respond(response: PushResponse) -> Response {
    router::respond(RoleAnswer::from(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lake_is_where_the_store_is() {
        assert_eq!(lake("s3://logs/tarn/x"), Some(Lake { bucket: "logs".to_owned(), prefix: "tarn/x".to_owned() }));
        assert_eq!(lake("s3://logs"), Some(Lake { bucket: "logs".to_owned(), prefix: String::new() }));
        assert_eq!(lake("file:///tmp/x"), None);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("s3cret"))), "Some(***)");
    }
}
