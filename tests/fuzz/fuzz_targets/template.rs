//! Fuzz target; see `fuzz::stages::template::run_template`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::template::run_template(data));
