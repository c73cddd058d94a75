//! The `tarn` process as a library: one router, one configuration, the roles, compaction, the command line. `tarn` is [`run_command_line`]; a function adapter takes
//! [`Function`] or [`Compaction`] and brings its own way of being called.
//! Owns: how the roles share a process. Must not know: what an event of a cloud looks like.
//!
//! What links the query engine is named in `reader` and `compaction` only, and reached from [`Function::ingest`] by nothing: so the linker leaves the engine out of a
//! program that only ingests.

mod args;
mod cli;
mod compaction;
mod config;
mod cost;
mod error;
mod firehose;
mod function;
mod limits;
mod logging;
mod reader;
mod roles;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

pub use compaction::{Compaction, TenantRun, add};
pub use config::{Config, LogConfig, Role, parse_duration, parse_size};
pub use error::TarnError;
pub use firehose::aws_settings;
pub use function::Function;
pub use logging::{LogControl, init as init_logging, report};
pub use serve::takes_gzip;

use crate::args::{Args, Command};

/// What `tarn` does when it is started.
pub fn run_command_line() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, TarnError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if matches!(args.command, Command::Compact(_)) {
        // One merge at a time: more threads only give the allocator more places to keep what was freed.
        builder.worker_threads(1).max_blocking_threads(2);
    }
    let runtime = builder.enable_all().build().map_err(|source| TarnError::Io { what: "start the runtime".to_owned(), source })?;
    let code = match args.command {
        Command::Serve(serve) => {
            let config = Config::load(&serve)?;
            let log = logging::init(config.log());
            runtime.block_on(serve::run(config, log)).map(|()| ExitCode::SUCCESS)
        }
        command => {
            logging::init(&config::LogConfig::for_commands()?);
            runtime.block_on(cli::run(command))
        }
    };
    // A query that is still scanning when the process is told to stop must not hold it up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    code
}
