//! Fuzz target; see `fuzz::stages::patterns::run_patterns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::patterns::run_patterns(data));
