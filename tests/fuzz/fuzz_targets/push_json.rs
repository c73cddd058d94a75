//! Fuzz target; see `fuzz::push::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::json(data));
