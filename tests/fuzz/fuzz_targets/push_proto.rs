//! Fuzz target; see `fuzz::push::proto`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::proto(data));
