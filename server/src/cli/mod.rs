//! The commands that talk to a server or to a store.
//! Owns: reading of flags, paging, printing. Must not know: how a query runs or a push is stored.

mod client;
mod compact;
mod cost;
mod explain;
mod inspect;
mod labels;
mod output;
mod push;
mod query;
mod store_target;
mod tail;
mod time;
mod verify;

use std::process::ExitCode;

use crate::args::Command;
use crate::error::TarnError;

/// Runs one command to its end.
pub(crate) async fn run(command: Command) -> Result<ExitCode, TarnError> {
    match command {
        Command::Push(args) => push::run(args).await?,
        Command::Query(args) => query::run(args).await?,
        Command::Tail(args) => tail::run(args).await?,
        Command::Labels(args) => labels::names_or_values(args).await?,
        Command::Series(args) => labels::series(args).await?,
        Command::Explain(args) => explain::run(args).await?,
        Command::Compact(args) => return compact::run(args).await,
        Command::Inspect(args) => inspect::run(args).await?,
        Command::Verify(args) => return verify::run(args).await,
        Command::Cost(args) => cost::run(args).await?,
        Command::Serve(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
