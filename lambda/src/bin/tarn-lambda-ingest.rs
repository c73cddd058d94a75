//! The ingest function.

use std::process::ExitCode;

fn main() -> ExitCode {
    lambda::run_ingest()
}
