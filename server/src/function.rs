//! The server without its sockets: for adapters that are handed one request at a time and must leave nothing running when they have answered.
//! Owns: what differs from `tarn serve` in how the roles run. Must not know: events, deadlines.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ingest_fn::{GroupCommitSettings, Ingester, aws};
use store::Env;
use store::chunk::DiskCache;

use crate::config::{Config, Role};
use crate::error::TarnError;
use crate::limits::TenantLimits;
use crate::logging::LogControl;
use crate::reader;
use crate::roles::{self, IngestRole, Roles};
use crate::serve::router;
use crate::serve::state::{App, Phase};

/// A push waits for its PUT as long as the caller lets it: an answer before that would leave the PUT running in a process that is then frozen.
const ACK_TIMEOUT: Duration = Duration::from_secs(3600);

/// One role behind the server's router. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Function {
    app: Arc<App>,
    router: Router,
    ingester: Option<Ingester>,
}

impl Function {
    /// Ingest: each push is an object of its own, written at once. It asks the store for nothing else, neither at start nor for a push: whether the store has a format
    /// that this version reads is for those to find out that read it, and a level-0 chunk says in itself how it is to be read.
    /// Errors: the URL of the store, or its settings, or a file that a setting names.
    ///
    /// `aws` says how Firehose's deliveries are read, and whose their lines are where `config` does not.
    pub fn ingest(mut config: Config, env: Env, log: LogControl, aws: Arc<aws::Settings>) -> Result<Self, TarnError> {
        config.role = Role::Ingest;
        config.firehose.tenant.get_or_insert_with(|| aws.tenant.clone());
        let client = roles::open_store(&config, &env)?;
        let settings = GroupCommitSettings { direct: true, ack_timeout: ACK_TIMEOUT, ..GroupCommitSettings::default() };
        let limits = Arc::new(TenantLimits::open(&config)?);
        let ingester = Ingester::with_limits(client.clone(), env.clone(), Arc::<TenantLimits>::clone(&limits), settings);
        let role = IngestRole { ingester: ingester.clone(), aws, elastic: Arc::clone(&config.elasticsearch) };
        Self::ready(Roles::new(client, &config, limits, Some(role), None), config, env, log, Some(ingester))
    }

    /// Queries, with a cache on `disk` behind the one in memory, if there is one.
    /// Errors: the URL of the store, or its settings, or a file that a setting names.
    pub fn query(mut config: Config, env: Env, log: LogControl, disk: Option<DiskCache>) -> Result<Self, TarnError> {
        config.role = Role::Query;
        let client = roles::open_store(&config, &env)?;
        let limits = Arc::new(TenantLimits::open(&config)?);
        let reader = reader::open(&client, &env, &config, Arc::clone(&limits), disk);
        Self::ready(Roles::new(client, &config, limits, None, Some(reader)), config, env, log, None)
    }

    /// The router takes requests at once; nothing is checked before.
    fn ready(roles: Roles, mut config: Config, env: Env, log: LogControl, ingester: Option<Ingester>) -> Result<Self, TarnError> {
        // There is no listener.
        config.tls = None;
        let app = Arc::new(App::new(roles, config, env, log)?);
        app.set_phase(Phase::Ready);
        Ok(Self { router: router::build(&app), app, ingester })
    }

    /// The routes of the role.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// What stores pushes, for those that do not come by HTTP.
    pub fn ingester(&self) -> Option<&Ingester> {
        self.ingester.as_ref()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.app.config
    }

    /// The clock.
    pub fn env(&self) -> &Env {
        &self.app.env
    }

    /// Whether this version reads the store's format: one request, which writes nothing. A store that nobody has given a format yet is new, and well.
    pub async fn check_format(&self) -> Result<(), TarnError> {
        self.app.roles.client().check_existing_format().await.map_err(|source| roles::store_error(&self.app.config.redacted_store(), source))
    }
}
