//! Fuzz target; see `fuzz::manifest_decode::run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::manifest_decode::run(data));
