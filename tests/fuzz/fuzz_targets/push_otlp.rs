//! Fuzz target; see `fuzz::push::otlp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::otlp(data));
