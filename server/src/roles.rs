//! The roles that run in this process, behind the two calls that HTTP and the command line make.
//! Must not know: sockets, routes, what a push or a query means.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use ingest_fn::aws::{self, FirehoseRequest};
use ingest_fn::elastic::{ElasticRequest, ElasticSettings, handle_elastic};
use ingest_fn::hec::{HecRequest, handle_hec};
use ingest_fn::{GroupCommitSettings, GrpcMethod, Ingester, LineOptions, PushFormat, PushRequest, PushResponse};
use schema::{TenantId, TenantSet};
use store::ObjectClient;
use store::env::Env;

use crate::config::Config;
use crate::error::TarnError;
use crate::firehose::aws_settings;
use crate::limits::TenantLimits;
use crate::reader;

const BACKFILL_HEADER: HeaderName = HeaderName::from_static("x-loki-backfill-shard");

/// Where OpenTelemetry's exporters push logs.
pub(crate) const OTLP_LOGS: &str = "/otlp/v1/logs";
/// Where lines are pushed.
pub(crate) const LINES: &str = "/tarn/api/v1/push";

/// One store and the roles that work on it.
#[derive(Debug)]
pub(crate) struct Roles {
    client: ObjectClient,
    /// For messages, without secrets.
    store: String,
    ingest: Option<IngestRole>,
    reader: Option<Arc<dyn ReadRole>>,
    limits: Arc<TenantLimits>,
    /// Whether this process lives on when it has answered, so that it can hold a connection open.
    stays: bool,
}

/// What stores lines.
#[derive(Clone, Debug)]
pub(crate) struct IngestRole {
    pub(crate) ingester: Ingester,
    /// How Firehose's deliveries are read.
    pub(crate) aws: Arc<aws::Settings>,
    /// What the fields of Elasticsearch's documents become.
    pub(crate) elastic: Arc<ElasticSettings>,
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
    pub(crate) tenants: TenantSet,
}

/// What a role answers.
#[derive(Debug)]
pub(crate) struct RoleAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl From<PushResponse> for RoleAnswer {
    fn from(response: PushResponse) -> Self {
        Self { status: response.status, headers: response.headers.into_iter().collect(), body: response.body.into() }
    }
}

impl RoleAnswer {
    /// Plain text.
    pub(crate) fn text(status: StatusCode, text: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))]);
        Self { status, headers, body: Bytes::from(text) }
    }
}

/// Answers read requests. A trait, so that a process without this role does not link the query engine.
pub(crate) trait ReadRole: fmt::Debug + Send + Sync {
    /// Answers `request`; `None` for a path that is not part of the read API. Dropping the future cancels the query.
    fn read(&self, request: ReadRequest) -> BoxFuture<'_, Option<RoleAnswer>>;

    /// Checks what a tail is asked for, and returns what begins it. Errors: what is answered in place of an upgrade.
    fn tail(&self, request: ReadRequest) -> Result<TailStart, Box<RoleAnswer>>;

    /// Appends its metrics.
    fn render_metrics(&self, out: &mut String);
}

/// Begins a tail. Errors: the text for the close frame.
pub(crate) type TailStart = BoxFuture<'static, Result<Box<dyn LiveTail>, String>>;

/// A tail that runs; dropping it ends it.
pub(crate) trait LiveTail: fmt::Debug + Send {
    /// The next frame, JSON text. Errors: why there are no more. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Result<String, String>>;
}

impl Roles {
    /// Opens the store, without talking to it, and starts the roles that `config` names. Must run inside the runtime.
    pub(crate) fn open(config: &Config, env: &Env) -> Result<Self, TarnError> {
        let client = open_store(config, env)?;
        let settings =
            GroupCommitSettings { flush_interval: config.ingest.flush_interval, flush_bytes: config.ingest.flush_bytes, ..GroupCommitSettings::default() };
        let limits = Arc::new(TenantLimits::open(config)?);
        let ingest = config.role.ingests().then(|| IngestRole {
            ingester: Ingester::with_limits(client.clone(), env.clone(), Arc::<TenantLimits>::clone(&limits), settings),
            aws: Arc::new(aws_settings(config, TenantId::default_tenant())),
            elastic: Arc::clone(&config.elasticsearch),
        });
        let reader = config.role.queries().then(|| reader::open(&client, env, config, Arc::clone(&limits), None));
        Ok(Self { stays: true, ..Self::new(client, config, limits, ingest, reader) })
    }

    /// These roles on the store of `client`, which `config` names, for a process that may stop between two requests.
    pub(crate) fn new(client: ObjectClient, config: &Config, limits: Arc<TenantLimits>, ingest: Option<IngestRole>, reader: Option<Arc<dyn ReadRole>>) -> Self {
        Self { client, store: config.redacted_store(), ingest, reader, limits, stays: false }
    }

    /// What tenants may do.
    pub(crate) fn limits(&self) -> &TenantLimits {
        &self.limits
    }

    /// What stores rows, if this process does.
    pub(crate) fn ingester(&self) -> Option<&Ingester> {
        self.ingest.as_ref().map(|role| &role.ingester)
    }

    /// The store.
    pub(crate) fn client(&self) -> &ObjectClient {
        &self.client
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
    pub(crate) async fn push(&self, uri: &Uri, headers: &HeaderMap, body: Bytes, tenant: TenantId) -> RoleAnswer {
        let Some(IngestRole { ingester, .. }) = &self.ingest else { return not_found() };
        let format = match uri.path() {
            path if path.starts_with("/api/prom/") => PushFormat::Legacy,
            OTLP_LOGS => PushFormat::Otlp,
            LINES => match LineOptions::parse(uri.query().unwrap_or_default()) {
                Ok(options) => PushFormat::Lines(options),
                Err(error) => return PushResponse::from(&error).into(),
            },
            _ => PushFormat::V1,
        };
        let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let request = PushRequest {
            content_type: header(&CONTENT_TYPE),
            content_encoding: header(&CONTENT_ENCODING),
            backfill_shard: header(&BACKFILL_HEADER),
            format,
            body,
            tenant,
        };
        if request.format == PushFormat::Otlp {
            let (head, body) = ingest_fn::handle_otlp(ingester, request).await.into_parts();
            return RoleAnswer { status: head.status, headers: head.headers, body };
        }
        ingest_fn::handle_push(ingester, request).await.into()
    }

    /// Stores the message of a gRPC method. The answer comes when its rows are durable or refused: the message to answer with, or why not in words.
    pub(crate) async fn message(&self, method: GrpcMethod, encoding: Option<&str>, message: Bytes, tenant: TenantId) -> RoleAnswer {
        let Some(IngestRole { ingester, .. }) = &self.ingest else { return not_found() };
        let (head, body) = ingest_fn::handle_message(ingester, method, encoding, message, tenant).await.into_parts();
        RoleAnswer { status: head.status, headers: head.headers, body }
    }

    /// Stores what Firehose delivers. The answer comes when its rows are durable or refused.
    pub(crate) async fn firehose(&self, request: FirehoseRequest) -> RoleAnswer {
        let Some(IngestRole { ingester, aws, .. }) = &self.ingest else { return not_found() };
        aws::handle_firehose(ingester, aws, request).await.into()
    }

    /// Answers a request of Elasticsearch's API. The answer to documents comes when they are durable or refused.
    pub(crate) async fn elastic(&self, request: ElasticRequest) -> RoleAnswer {
        let Some(IngestRole { ingester, elastic, .. }) = &self.ingest else { return not_found() };
        handle_elastic(ingester, elastic, request).await.into()
    }

    /// Stores events of Splunk's collector. The answer comes when they are durable or refused.
    pub(crate) async fn hec(&self, request: HecRequest) -> RoleAnswer {
        let Some(IngestRole { ingester, .. }) = &self.ingest else { return not_found() };
        handle_hec(ingester, request).await.into()
    }

    /// Answers a read request. Dropping the future cancels it.
    pub(crate) async fn read(&self, request: ReadRequest) -> RoleAnswer {
        let Some(reader) = &self.reader else { return not_found() };
        reader.read(request).await.unwrap_or_else(not_found)
    }

    /// Checks a tail and returns what begins it. Errors: what is answered in its place.
    pub(crate) fn tail(&self, request: ReadRequest) -> Result<TailStart, Box<RoleAnswer>> {
        let Some(reader) = &self.reader else { return Err(Box::new(not_found())) };
        if !self.stays {
            let message =
                "this is a function, which answers and stops, so it cannot tail: poll /loki/api/v1/query_range, or ask a process that runs 'tarn serve'";
            return Err(Box::new(RoleAnswer::text(StatusCode::NOT_IMPLEMENTED, message.to_owned())));
        }
        reader.tail(request)
    }

    /// Makes every accepted push durable and refuses further ones, so that they are retried elsewhere.
    pub(crate) async fn shut_down(&self) {
        if let Some(IngestRole { ingester, .. }) = &self.ingest {
            ingester.shutdown().await;
        }
    }

    /// Appends the metrics of the roles and of the store.
    pub(crate) fn render_metrics(&self, out: &mut String) {
        if let Some(IngestRole { ingester, .. }) = &self.ingest {
            ingester.metrics().render_prometheus(out);
        }
        if let Some(reader) = &self.reader {
            reader.render_metrics(out);
        }
        self.client.stats().render_prometheus(out);
    }

    /// Counts a push of which nothing was read because it says that it is too large.
    pub(crate) fn count_unread(&self, bytes: usize) {
        if let Some(IngestRole { ingester, .. }) = &self.ingest {
            ingester.metrics().refused_unread(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }
}

/// A client of the store that `config` names; makes no request.
pub(crate) fn open_store(config: &Config, env: &Env) -> Result<ObjectClient, TarnError> {
    ObjectClient::open(&config.store, env).map_err(|source| store_error(&config.redacted_store(), source))
}

pub(crate) fn store_error(store: &str, source: store::StoreError) -> TarnError {
    TarnError::Store { store: store.to_owned(), source: Box::new(source) }
}

/// The body of Go's `http.NotFound`.
fn not_found() -> RoleAnswer {
    RoleAnswer::text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
}
