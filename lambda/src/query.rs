//! The query function: Loki's read API behind an HTTP front end.
//! Owns: the check of the store's format, the end of a query that takes too long. Must not know: how a query runs.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::Request;
use http::{Method, StatusCode};
use server::{Config, Role, TarnError};
use store::chunk::DiskCache;
use tokio::sync::OnceCell;

use crate::front::{self, FrontEnd, FullResponse, text};
use crate::runtime::{self, Function, FunctionError, Invocation, Reply, Start};
use crate::settings::Settings;

/// Runs the function.
pub fn run() -> ExitCode {
    runtime::run::<Query>()
}

struct Query {
    server: server::Function,
    settings: Settings,
    /// Filled when the store's format was found to be one that this version reads.
    checked: OnceCell<()>,
}

impl Function for Query {
    const ROLE: Role = Role::Query;
    /// One more than a small function has processors: the clock must get its turn while an operator computes.
    const THREADS: usize = 4;

    async fn start(Start { config, settings, env, log }: Start) -> Result<Self, TarnError> {
        let disk = settings.cache.as_deref().and_then(|folder| open_disk(folder, &config, &settings));
        Ok(Self { server: server::Function::query(config, env, log, disk)?, settings, checked: OnceCell::new() })
    }

    async fn call(&self, Invocation { event, time_left }: Invocation) -> Result<Reply, FunctionError> {
        let Some(front) = FrontEnd::of(&event) else {
            let message = "the query function answers HTTP requests of a Function URL, API Gateway or load balancer; this event is none".to_owned();
            return Err(FunctionError { kind: "UnknownEvent", message });
        };
        Ok(front::serve(front, event, &self.settings, time_left, |request| self.answer(request), expired).await)
    }
}

impl Query {
    /// The first query and the check run side by side, so that the check costs no time. What may write (delete requests) waits for it: a store of a later version
    /// must not be touched.
    async fn answer(&self, request: Request) -> FullResponse {
        let check = self.checked.get_or_try_init(|| self.server.check_format());
        let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let answer = front::ask(self.server.router(), request);
        let answered = if only_reads {
            let (checked, answer) = futures::join!(check, answer);
            checked.map(|()| answer)
        } else {
            match check.await {
                Ok(()) => Ok(answer.await),
                Err(error) => Err(error),
            }
        };
        answered.unwrap_or_else(|error| text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")))
    }
}

/// A cache is worth having, but no reason to fail.
fn open_disk(folder: &Path, config: &Config, settings: &Settings) -> Option<DiskCache> {
    let opened = DiskCache::open(folder, config.store_url(), settings.cache_bytes);
    opened.inspect_err(|error| tracing::warn!(folder = %folder.display(), %error, "no cache on disk: check TARN_LAMBDA_CACHE")).ok()
}

fn expired(left: Duration) -> FullResponse {
    let message = format!(
        "the query did not end within the {} s that the function has: narrow the time range, add label matchers to the selector, lower 'limit', or raise the function's timeout or memory\n",
        left.as_secs_f32()
    );
    text(StatusCode::GATEWAY_TIMEOUT, message)
}
