//! Fuzz target; see `fuzz::stages::json::run_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::json::run_json(data));
