//! The commands that talk to a server or to a store.
//! Owns: reading of flags, paging, printing. Must not know: how a query runs or a push is stored.

mod client;
mod explain;
mod labels;
mod output;
mod push;
mod query;
mod time;

use std::process::ExitCode;

use crate::args::Command;
use crate::error::TarnError;

/// Runs one command to its end.
pub(crate) async fn run(command: Command) -> Result<ExitCode, TarnError> {
    match command {
        Command::Push(args) => push::run(args).await?,
        Command::Query(args) => query::run(args).await?,
        Command::Labels(args) => labels::names_or_values(args).await?,
        Command::Series(args) => labels::series(args).await?,
        Command::Explain(args) => explain::run(args).await?,
        Command::Serve(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
