//! What every handler sees.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use schema::Timestamp;
use store::env::Env;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::TarnError;
use crate::logging::LogControl;
use crate::roles::Roles;
use crate::serve::access::Access;
use crate::serve::body::{BodyMemory, BodyRefusal, HeldBody};
use crate::serve::connections::ClientMemory;
use crate::serve::health::StoreHealth;
use crate::serve::metrics::Metrics;
use crate::serve::schedule::ScheduleMetrics;
use crate::serve::syslog::SyslogMetrics;
use crate::serve::tls::Tls;

/// The running server.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) env: Env,
    pub(crate) roles: Roles,
    pub(crate) access: Access,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<Tls>,
    pub(crate) log: LogControl,
    pub(crate) metrics: Metrics,
    pub(crate) bodies: BodyMemory,
    pub(crate) syslog: SyslogMetrics,
    pub(crate) client_memory: Arc<ClientMemory>,
    pub(crate) store_health: StoreHealth,
    pub(crate) compactions: ScheduleMetrics,
    pub(crate) started: Timestamp,
    phase: watch::Sender<Phase>,
}

/// Where in its life the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The store is not checked yet.
    Starting,
    Ready,
    /// Told to stop; what is in flight is still answered.
    Stopping,
}

impl Phase {
    /// Why a request that needs the store cannot be answered, if so.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Starting => Some("not ready: the store is being checked"),
            // A request that got in before the listener closed is still served.
            Self::Ready | Self::Stopping => None,
        }
    }
}

impl App {
    /// Errors: a file that a setting names.
    pub(crate) fn new(roles: Roles, config: Config, env: Env, log: LogControl) -> Result<Self, TarnError> {
        let started = env.now();
        let bodies = BodyMemory::new(&config.http);
        Ok(Self {
            access: Access::open(&config.access, config.firehose.access_key.is_some())?,
            tls: config.tls.as_ref().map(Tls::open).transpose()?,
            config,
            env,
            roles,
            log,
            metrics: Metrics::default(),
            syslog: SyslogMetrics::default(),
            bodies,
            client_memory: Arc::default(),
            store_health: StoreHealth::default(),
            compactions: ScheduleMetrics::default(),
            started,
            phase: watch::Sender::new(Phase::Starting),
        })
    }

    /// The body of a push. One that is too large counts as discarded.
    pub(crate) async fn push_body(&self, headers: &HeaderMap, body: Body) -> Result<HeldBody<'_>, BodyRefusal> {
        self.push_body_within(headers, body, self.config.ingest_limits.max_body_bytes).await
    }

    /// As [`Self::push_body`], of at most `limit` bytes.
    pub(crate) async fn push_body_within(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<HeldBody<'_>, BodyRefusal> {
        let read = self.bodies.read(headers, body, limit).await;
        if let Err(refusal) = &read
            && refusal.status == StatusCode::PAYLOAD_TOO_LARGE
        {
            self.roles.count_unread(refusal.bytes);
        }
        read
    }

    /// Whether requests can be answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready && !self.store_health.is_broken()
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Ends when the store is checked, or the server is told to stop.
    pub(crate) async fn started(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Starting).await;
    }

    /// Ends when the server is told to stop.
    pub(crate) async fn stopping(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Stopping).await;
    }
}
