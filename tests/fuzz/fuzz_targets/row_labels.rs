//! Fuzz target; see `fuzz::stages::labels::run_labels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::labels::run_labels(data));
