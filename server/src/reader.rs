//! The query role as the router asks it: the read API of `query-fn` behind [`ReadRole`].
//! Must not know: routes, sockets.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use query_fn::api::{Api, ApiRequest};
use query_fn::tail::Tail;
use store::chunk::{ChunkCache, DiskCache};
use store::{Env, ObjectClient};

use crate::config::Config;
use crate::limits::TenantLimits;
use crate::roles::{LiveTail, ReadRequest, ReadRole, RoleAnswer, TailStart};

/// The query engine on `client`, with a cache in memory and, if there is one, on `disk`.
pub(crate) fn open(client: &ObjectClient, env: &Env, config: &Config, limits: Arc<TenantLimits>, disk: Option<DiskCache>) -> Arc<dyn ReadRole> {
    let cache = ChunkCache::new(config.query.cache_bytes);
    let cache = match disk {
        Some(disk) => cache.with_disk(disk),
        None => cache,
    };
    let api = Api::with_limits(client.clone(), env.clone(), config.query_limits.clone(), limits, cache.clone(), config.query.concurrency);
    Arc::new(Engine { api, cache })
}

#[derive(Debug)]
struct Engine {
    api: Api,
    cache: ChunkCache,
}

impl ReadRole for Engine {
    fn read(&self, request: ReadRequest) -> BoxFuture<'_, Option<RoleAnswer>> {
        let ReadRequest { method, path, query, form, headers, tenants } = request;
        let request = ApiRequest { method, path, query, body: form, headers, tenants };
        let answer = self
            .api
            .handle(request)
            .map(|answer| answer.map(|response| RoleAnswer { status: response.status, headers: response.headers, body: response.body }));
        answer.boxed()
    }

    fn tail(&self, request: ReadRequest) -> Result<TailStart, Box<RoleAnswer>> {
        let checked = self.api.tail_request(&request.path, &request.query, &request.headers, &request.tenants);
        let request = checked.map_err(|error| Box::new(RoleAnswer::text(error.status(), error.to_string())))?;
        let api = self.api.clone();
        let start = async move {
            let tail = api.tail(request).await.map_err(|error| error.to_string())?;
            Ok(Box::new(Following(tail)) as Box<dyn LiveTail>)
        };
        Ok(start.boxed())
    }

    fn render_metrics(&self, out: &mut String) {
        self.api.render_prometheus(out);
        self.cache.render_prometheus(out);
    }
}

#[derive(Debug)]
struct Following(Tail);

impl LiveTail for Following {
    fn next(&mut self) -> BoxFuture<'_, Result<String, String>> {
        self.0.next().map(|frame| frame.map_err(|ended| ended.to_string())).boxed()
    }
}
