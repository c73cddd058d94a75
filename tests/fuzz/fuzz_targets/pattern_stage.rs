//! Fuzz target; see `fuzz::stages::pattern::run_pattern`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::pattern::run_pattern(data));
