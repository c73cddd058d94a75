//! The ingest function: a push is stored when it is answered, and nothing runs on after that.
//! Owns: which event is what. Must not know: how a push is decoded.

use std::process::ExitCode;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use server::{Role, TarnError};

use crate::front::{self, FrontEnd, FullResponse, text};
use crate::runtime::{self, Function, FunctionError, Invocation, Reply, Start};
use crate::settings::Settings;
use crate::sources::Sources;

/// Runs the function.
pub fn run() -> ExitCode {
    runtime::run::<Ingest>()
}

struct Ingest {
    server: server::Function,
    settings: Settings,
    sources: Sources,
}

impl Function for Ingest {
    const ROLE: Role = Role::Ingest;
    const THREADS: usize = 1;

    async fn start(Start { config, settings, env, log }: Start) -> Result<Self, TarnError> {
        let sources = Sources::open(&config, &settings).await?;
        let server = server::Function::ingest(config, env, log, sources.settings())?;
        Ok(Self { server, settings, sources })
    }

    async fn call(&self, Invocation { event, time_left }: Invocation) -> Result<Reply, FunctionError> {
        match FrontEnd::of(&event) {
            Some(front) => Ok(front::serve(front, event, &self.settings, time_left, |request| front::ask(self.server.router(), request), expired).await),
            None => match self.server.ingester() {
                Some(ingester) => self.sources.take(ingester, event, time_left).await,
                None => Err(FunctionError { kind: "Internal", message: "the function has no ingester".to_owned() }),
            },
        }
    }
}

/// Whether the rows are stored is not known; a repeated push is stored once.
fn expired(left: Duration) -> FullResponse {
    let message = format!(
        "the push was not stored within the {} s that the function has left: retry it; if this goes on, raise the function's timeout or memory, or send smaller batches\n",
        left.as_secs_f32()
    );
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
