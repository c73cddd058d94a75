//! Fuzz target; see `fuzz::logql_parse::run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::logql_parse::run(data));
