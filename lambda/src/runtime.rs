//! The loop of a function: start, wait for an event, answer it, wait again.
//! Owns: the order of start, what an invocation knows of itself, how a failure is reported. Must not know: what events mean.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Iter};
use lambda_runtime::{Diagnostic, FunctionResponse, LambdaEvent, Runtime, StreamResponse, service_fn};
use serde_json::Value;
use server::{Config, LogControl, Role, TarnError, init_logging, report};
use store::Env;

use crate::deadline::time_left;
use crate::settings::Settings;

/// An event and what is known of its invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The event as it came.
    pub(crate) event: Value,
    /// How long it may take, if that is known.
    pub(crate) time_left: Option<Duration>,
}

/// The body of a streamed answer. It is complete before its first byte is sent, so it cannot fail half-way.
pub(crate) type BodyStream = Iter<std::vec::IntoIter<Result<Bytes, io::Error>>>;

/// What a function answers: a JSON document, or a stream for an HTTP front end.
pub(crate) type Reply = FunctionResponse<Value, BodyStream>;

/// A failed invocation: whoever sent the event tries again, or keeps it.
#[derive(Debug)]
pub(crate) struct FunctionError {
    /// One word for whoever sorts errors.
    pub(crate) kind: &'static str,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.kind.to_owned(), error_message: error.message }
    }
}

/// What a function is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) env: Env,
    pub(crate) log: LogControl,
}

/// One of the three functions.
pub(crate) trait Function: Sized {
    /// What it does.
    const ROLE: Role;
    /// Threads that run its tasks; with 1 that is the main thread, which starts sooner.
    const THREADS: usize;

    /// Makes ready for the first event, without a request to the store. Runs inside the runtime.
    fn start(start: Start) -> impl Future<Output = Result<Self, TarnError>> + Send;

    /// Answers an event.
    fn call(&self, invocation: Invocation) -> impl Future<Output = Result<Reply, FunctionError>> + Send;
}

/// Runs the function until its environment ends. Graceful shutdown is not asked for: nothing is held back when an event is answered.
pub(crate) fn run<F: Function>() -> ExitCode {
    match serve::<F>() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn serve<F: Function>() -> Result<(), lambda_runtime::Error> {
    let config = Config::for_function(F::ROLE)?;
    let log = init_logging(config.log());
    let settings = Settings::load()?;
    check_environment()?;
    let mut builder = match F::THREADS {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let env = Env::system();
        let function = F::start(Start { config, settings, env: env.clone(), log }).await?;
        let (function, env) = (&function, &env);
        let handler = service_fn(async move |LambdaEvent { payload, context }: LambdaEvent<Value>| {
            let invocation = Invocation { event: payload, time_left: time_left(context.deadline, env.now()) };
            function.call(invocation).await.map_err(Diagnostic::from)
        });
        Runtime::new(handler).run().await
    })
}

/// The runtime panics without these, which says little to somebody who starts the program by hand.
fn check_environment() -> Result<(), String> {
    for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] {
        if std::env::var_os(name).is_none() {
            return Err(format!("{name} is not set: this program is started by AWS Lambda or an emulator of it; to run Tarn elsewhere use 'tarn serve'"));
        }
    }
    Ok(())
}

/// A JSON answer.
pub(crate) fn buffered(answer: Value) -> Reply {
    FunctionResponse::BufferedResponse(answer)
}

/// A streamed answer, in pieces that the runtime can pass on one by one.
pub(crate) fn streamed(metadata_prelude: lambda_runtime::MetadataPrelude, mut body: Bytes) -> Reply {
    const PIECE: usize = 64 << 10;
    let mut pieces = Vec::with_capacity(body.len() / PIECE + 1);
    while !body.is_empty() {
        pieces.push(Ok(body.split_to(PIECE.min(body.len()))));
    }
    FunctionResponse::StreamingResponse(StreamResponse { metadata_prelude, stream: stream::iter(pieces) })
}
