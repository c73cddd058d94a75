//! The `tarn` binary: every role behind one HTTP server, and a command line for a server or a store.
//! Owns: process start and exit code. Must not know: what a route or a command does.

mod args;
mod cli;
mod compaction;
mod config;
mod cost;
mod error;
mod logging;
mod roles;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::error::TarnError;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            logging::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, TarnError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|source| TarnError::Io { what: "start the runtime".to_owned(), source })?;
    let code = match args.command {
        Command::Serve(serve) => {
            let config = config::Config::load(&serve)?;
            let log = logging::init(&config.log);
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
