//! Fuzz target; see `fuzz::push::hec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::hec(data));
