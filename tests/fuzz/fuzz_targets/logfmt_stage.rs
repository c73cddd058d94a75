//! Fuzz target; see `fuzz::stages::logfmt::run_logfmt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::logfmt::run_logfmt(data));
