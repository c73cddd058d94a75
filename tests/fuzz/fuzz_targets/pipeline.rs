//! Fuzz target; see `fuzz::stages::pipeline::run_pipeline`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::pipeline::run_pipeline(data));
