//! `tarn serve`: one process that listens, checks its store, answers, and stops without losing an acknowledged line.
//! Owns: the order of start and stop. Must not know: what a request means.

mod access;
mod body;
mod clean_path;
mod compress;
mod connections;
mod elastic;
mod grpc;
mod health;
mod hec;
mod metrics;
mod observe;
mod ops;
pub(crate) mod router;
mod rules;
mod schedule;
mod shutdown;
pub(crate) mod state;
pub(crate) mod syslog;
mod tail;
pub(crate) mod tenant;
mod tls;
pub(crate) mod watched;

use std::sync::Arc;

use store::env::Env;
use tokio::sync::watch;

use crate::compaction::Compaction;
use crate::config::{Config, Role};
use crate::error::TarnError;
use crate::logging::LogControl;
use crate::roles::Roles;
use schedule::OwnedTask;
use state::{App, Phase};

pub use compress::takes_gzip;
pub(crate) use tenant::TENANT_HEADER;

/// Serves until SIGTERM or SIGINT, or until the store turns out to be unusable.
/// The socket listens before the store is checked; `/ready` tells the difference.
pub(crate) async fn run(config: Config, log: LogControl) -> Result<(), TarnError> {
    let listen = config.listen;
    let listener = connections::listen(listen).map_err(|source| TarnError::Listen { address: listen, source })?;
    let address = listener.local_addr().map_err(TarnError::io("read the listening address"))?;
    let env = Env::system();
    let app = Arc::new(App::new(Roles::open(&config, &env)?, config, env, log)?);
    let syslog = syslog::Listeners::bind(&app).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, store = %app.config.redacted_store(), role = app.config.role.as_str(), tls = app.tls.is_some(), "listening");

    let _watching = OwnedTask::spawn(watched::run(Arc::clone(&app)));
    let (stop, stopped) = watch::channel(false);
    let http = connections::serve(listener, router::build(&app), Arc::clone(&app), stopped.clone());
    let syslog = syslog::serve(syslog, Arc::clone(&app), stopped);
    let mut connections = tokio::spawn(async {
        tokio::join!(http, syslog);
    });
    let outcome = tokio::select! {
        outcome = check_store(&app) => outcome,
        () = shutdown::signal() => Ok(()),
    };
    if outcome.is_ok() && app.phase() == Phase::Ready {
        let _compaction = start_compaction(&app);
        let _health = OwnedTask::spawn(health::run(Arc::clone(&app)));
        tokio::select! {
            () = shutdown::signal() => {}
            // The accept loop ends only when it is told to; if it ends otherwise, the process must not linger deaf.
            _ = &mut connections => {}
        }
    }
    app.set_phase(Phase::Stopping);
    let _ = stop.send(true);
    shutdown::drain(&app, connections).await;
    outcome
}

/// Starts the compaction schedule, if this process has one; it ends with what is returned.
fn start_compaction(app: &Arc<App>) -> Option<OwnedTask> {
    let config = &app.config.compactor;
    if !app.config.role.compacts() || !config.enabled {
        if app.config.role == Role::Compactor {
            tracing::warn!("compactor.enabled is false: this process does nothing");
        }
        if config.has_retention() {
            tracing::info!("this process does not compact, so it drops nothing for its age: another process with the same settings has to");
        }
        return None;
    }
    Some(OwnedTask::spawn(schedule::run(Arc::clone(app), Compaction::new(app.roles.client(), &app.env, &app.config.compactor))))
}

/// Creates or checks the store's format and probes what the commit protocol relies on.
async fn check_store(app: &App) -> Result<(), TarnError> {
    let started = app.env.monotonic();
    app.roles.check_store().await?;
    app.set_phase(Phase::Ready);
    tracing::info!(milliseconds = app.env.monotonic().saturating_sub(started).as_millis(), "ready");
    Ok(())
}
