//! The roles that run in this process, behind the two calls that HTTP and the command line make.
//! Must not know: sockets, routes, what a push or a query means.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use ingest_fn::{GroupCommitSettings, Ingester, PushFormat, PushRequest};
use query_fn::api::{Api, ApiRequest};
use schema::TenantId;
use store::ObjectClient;
use store::env::Env;

use crate::compaction::Compaction;
use crate::config::Config;
use crate::error::TarnError;

const BACKFILL_HEADER: HeaderName = HeaderName::from_static("x-loki-backfill-shard");

/// One store and the roles that work on it.
#[derive(Debug)]
pub(crate) struct Roles {
    client: ObjectClient,
    /// For messages, without secrets.
    store: String,
    ingester: Option<Ingester>,
    api: Option<Api>,
}

/// A read request without its socket.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What follows the `?`.
    pub(crate) query: String,
    pub(crate) form: Bytes,
    pub(crate) headers: HeaderMap,
    pub(crate) tenant: TenantId,
}

/// What a role answers.
#[derive(Debug)]
pub(crate) struct RoleAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Roles {
    /// Opens the store, without talking to it, and starts the roles that `config` names. Must run inside the runtime.
    pub(crate) fn open(config: &Config, env: &Env) -> Result<Self, TarnError> {
        let store = config.redacted_store();
        let client = ObjectClient::open(&config.store, env).map_err(|source| store_error(&store, source))?;
        let ingester = config.role.ingests().then(|| {
            let settings =
                GroupCommitSettings { flush_interval: config.ingest.flush_interval, flush_bytes: config.ingest.flush_bytes, ..GroupCommitSettings::default() };
            Ingester::new(client.clone(), env.clone(), config.ingest_limits.clone(), settings)
        });
        let api = config.role.queries().then(|| Api::new(client.clone(), env.clone(), config.query_limits.clone(), config.query.cache_bytes));
        Ok(Self { client, store, ingester, api })
    }

    /// Compaction of this store.
    pub(crate) fn compaction(&self, config: &Config, env: &Env) -> Compaction {
        Compaction::new(&self.client, env, &config.compactor)
    }

    /// Creates or checks the store's format.
    pub(crate) async fn check_format(&self) -> Result<(), TarnError> {
        self.client.ensure_format().await.map_err(|source| store_error(&self.store, source))
    }

    /// As [`Self::check_format`], and that the store keeps what the commit protocol relies on.
    pub(crate) async fn check_store(&self) -> Result<(), TarnError> {
        self.check_format().await?;
        self.client.probe().await.map_err(|source| store_error(&self.store, source))
    }

    /// Stores a push. The answer comes when its rows are durable or refused.
    pub(crate) async fn push(&self, path: &str, headers: &HeaderMap, body: Bytes, tenant: TenantId) -> RoleAnswer {
        let Some(ingester) = &self.ingester else { return not_found() };
        let format = if path.starts_with("/api/prom/") { PushFormat::Legacy } else { PushFormat::V1 };
        let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let request = PushRequest {
            content_type: header(&CONTENT_TYPE),
            content_encoding: header(&CONTENT_ENCODING),
            backfill_shard: header(&BACKFILL_HEADER),
            format,
            body,
            tenant,
        };
        let response = ingest_fn::handle_push(ingester, request).await;
        RoleAnswer { status: response.status, headers: response.headers.into_iter().collect(), body: response.body.into() }
    }

    /// Answers a read request. Dropping the future cancels it.
    pub(crate) async fn read(&self, request: ReadRequest) -> RoleAnswer {
        let Some(api) = &self.api else { return not_found() };
        let ReadRequest { method, path, query, form, headers, tenant } = request;
        match api.handle(ApiRequest { method, path, query, body: form, headers, tenant }).await {
            Some(response) => RoleAnswer { status: response.status, headers: response.headers, body: response.body },
            None => not_found(),
        }
    }

    /// Makes every accepted push durable and refuses further ones, so that they are retried elsewhere.
    pub(crate) async fn shut_down(&self) {
        if let Some(ingester) = &self.ingester {
            ingester.shutdown().await;
        }
    }

    /// Appends the metrics of the roles and of the store.
    pub(crate) fn render_metrics(&self, out: &mut String) {
        if let Some(ingester) = &self.ingester {
            ingester.metrics().render_prometheus(out);
        }
        self.client.stats().render_prometheus(out);
    }
}

pub(crate) fn store_error(store: &str, source: store::StoreError) -> TarnError {
    TarnError::Store { store: store.to_owned(), source: Box::new(source) }
}

/// The body of Go's `http.NotFound`.
fn not_found() -> RoleAnswer {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))]);
    RoleAnswer { status: StatusCode::NOT_FOUND, headers, body: Bytes::from_static(b"404 page not found\n") }
}
