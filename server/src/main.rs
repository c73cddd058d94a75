//! The `tarn` binary: every role behind one HTTP server, and a command line for a server or a store.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::run_command_line()
}
