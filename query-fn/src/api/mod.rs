//! The read API as functions from request to response: Loki's query, metadata, delete and formatting routes, and `explain`.
//! Owns: which path is which operation, parameters, the order of checks, error bodies, the query timeout.
//! Must not know: sockets, authentication, how tenants are found, how a query runs.

mod admission;
mod delete;
mod detect;
mod duration;
mod form;
mod index;
mod labels;
mod limits;
mod params;
mod patterns;
mod query;
mod refusals;
mod reply;
mod route;
mod selector;
mod tail;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use schema::{Concurrency, LimitsOf, QueryLimits, SameForAll, TenantId, TenantSet, TimeRange};
use store::chunk::ChunkCache;
use store::{Env, ObjectClient};

use crate::QueryError;
use crate::engine::{Engine, before};
use crate::metadata::Scope;
use crate::physical::not_before;
use crate::tail::Tails;
use admission::{Admission, Share};
use form::Form;
use refusals::Refusals;
use route::{Found, Route};

/// A request as it came, without its socket.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// GET or POST, for deletes also PUT and DELETE; any other is answered 405.
    pub method: Method,
    /// The path as sent, percent escapes included, without the query.
    pub path: String,
    /// What follows the `?`, as sent; empty where there is none.
    pub query: String,
    /// The body, read to its end and decompressed.
    pub body: Bytes,
    /// The headers.
    pub headers: HeaderMap,
    /// Whose data it may see. What is read of several tenants has the label `__tenant_id__`.
    pub tenants: TenantSet,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The status.
    pub status: StatusCode,
    /// Content type, and what else the body needs.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The read API over one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: ObjectClient,
    env: Env,
    limits: Arc<dyn LimitsOf<QueryLimits>>,
    cache: ChunkCache,
    engine: Engine,
    tails: Tails,
    admission: Arc<Admission>,
    refusals: Refusals,
}

/// One request, its parameters read.
#[derive(Debug)]
struct Call<'a> {
    shared: &'a Shared,
    /// Those of the tenant; of several the strictest.
    limits: &'a QueryLimits,
    /// Held to them.
    engine: Engine,
    method: &'a Method,
    headers: &'a HeaderMap,
    tenants: &'a TenantSet,
    form: Form,
}

impl Api {
    /// An API that reads `client`, keeps up to `cache_bytes` of opened chunks, and refuses what `limits` does not allow.
    pub fn new(client: ObjectClient, env: Env, limits: QueryLimits, cache_bytes: usize) -> Self {
        Self::with_cache(client, env, limits, ChunkCache::new(cache_bytes))
    }

    /// As [`Self::new`], with a cache of the caller's making.
    pub fn with_cache(client: ObjectClient, env: Env, limits: QueryLimits, cache: ChunkCache) -> Self {
        let of_all = limits.clone();
        Self::with_limits(client, env, of_all, Arc::new(SameForAll(Arc::new(limits))), cache, Concurrency::default())
    }

    /// As [`Self::with_cache`], with limits that tenants can have of their own; what is done for several tenants at once is held to `of_all`.
    pub fn with_limits(
        client: ObjectClient,
        env: Env,
        of_all: QueryLimits,
        limits: Arc<dyn LimitsOf<QueryLimits>>,
        cache: ChunkCache,
        concurrency: Concurrency,
    ) -> Self {
        let engine = Engine::new(client.clone(), env.clone(), of_all, cache.clone());
        let tails = Tails::new(client.clone(), env.clone(), cache.clone(), engine.clone());
        let (admission, refusals) = (Admission::new(concurrency), Refusals::new());
        Self { shared: Arc::new(Shared { client, env, limits, cache, engine, tails, admission, refusals }) }
    }

    /// Appends what queries were refused, run and wait, in Prometheus' text form.
    pub fn render_prometheus(&self, out: &mut String) {
        self.shared.admission.render_prometheus(out);
        self.shared.refusals.render_prometheus(out);
    }

    /// Answers `request`; `None` for a path that is not part of the read API. Dropping the future cancels the query.
    pub async fn handle(&self, request: ApiRequest) -> Option<ApiResponse> {
        let route = match route::find(&request.path) {
            Ok(Found::Nothing) => return None,
            Ok(Found::Moved { path }) => return Some(ApiResponse::moved(&path, &request.query)),
            Ok(Found::Route(route)) => route,
            Err(error) => return Some(ApiResponse::error(&error)),
        };
        let allowed = route.methods();
        if !allowed.contains(&request.method) {
            return Some(ApiResponse::method_not_allowed(allowed));
        }
        let answered = self.shared.refusals.counted(self.answer(&route, &request).await);
        Some(answered.unwrap_or_else(|error| {
            if error.status().is_server_error() {
                tracing::warn!(tenant = %request.tenants, path = request.path, %error, "query failed");
            }
            ApiResponse::error(&error)
        }))
    }

    fn limits_of(&self, tenants: &TenantSet) -> Arc<QueryLimits> {
        let limits = tenants.iter().map(|tenant| self.shared.limits.limits_of(tenant));
        limits.reduce(|a, b| Arc::new(a.strictest(&b))).unwrap_or_default()
    }

    fn shares_of(&self, tenants: &TenantSet) -> Vec<Share> {
        let share = |tenant: &TenantId| Share { tenant: tenant.clone(), most: self.shared.limits.limits_of(tenant).max_concurrent_queries };
        tenants.iter().map(share).collect()
    }

    async fn answer(&self, route: &Route, request: &ApiRequest) -> Result<ApiResponse, QueryError> {
        let form = match route {
            Route::Delete => Form::of_url(&request.query)?,
            _ => Form::parse(&request.method, &request.headers, &request.query, &request.body)?,
        };
        let limits = self.limits_of(&request.tenants);
        let engine = self.shared.engine.clone().with_limits(&limits).with_cut_series(query::is_logs_drilldown(&request.headers));
        let Self { shared } = self;
        let call = Call { shared, limits: &limits, engine, method: &request.method, headers: &request.headers, tenants: &request.tenants, form };
        let answer = async {
            let _place = match route.reads_chunks() {
                true => Some(shared.admission.enter(self.shares_of(&request.tenants)).await?),
                false => None,
            };
            call.answer(route).await
        };
        match tokio::time::timeout(limits.query_timeout, answer).await {
            Ok(answered) => answered,
            Err(_) => Err(QueryError::Timeout),
        }
    }
}

impl<'a> Call<'a> {
    async fn answer(&self, route: &Route) -> Result<ApiResponse, QueryError> {
        match route {
            Route::QueryRange => self.query_range().await,
            Route::Query => self.query().await,
            Route::Labels => self.labels().await,
            Route::LabelValues { name } => self.label_values(name).await,
            Route::Series => self.series().await,
            Route::FormatQuery => Ok(self.format_query()),
            Route::IndexStats => self.index_stats().await,
            Route::Volume => self.volume().await,
            Route::VolumeRange => self.volume_range().await,
            Route::DetectedLabels => self.detected_labels().await,
            Route::DetectedFields => self.detected_fields().await,
            Route::DetectedFieldValues { name } => self.detected_field_values(name).await,
            Route::Patterns => self.patterns().await,
            Route::Delete => self.delete().await,
            Route::Explain => self.explain().await,
            Route::LegacyQuery => self.legacy_query().await,
            Route::LegacyLabels => self.legacy_labels().await,
            Route::LegacyLabelValues { name } => self.legacy_label_values(name).await,
        }
    }

    fn scope(&self, range: TimeRange) -> Scope<'a> {
        let oldest = self.limits.max_query_lookback.map(|lookback| before(self.shared.env.now(), lookback));
        let range = not_before(range, oldest);
        Scope { client: &self.shared.client, cache: &self.shared.cache, tenants: self.tenants, range }
    }
}

/// The tenant of what is done for one only.
fn only_tenant<'a>(tenants: &'a TenantSet, what: &str) -> Result<&'a TenantId, QueryError> {
    tenants.only().ok_or_else(|| QueryError::Parameter { message: format!("multiple org IDs present: {what} is for one tenant") })
}

#[cfg(test)]
mod delete_tests;
#[cfg(test)]
mod tests;
