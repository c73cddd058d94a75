//! Fuzz target; see `fuzz::push::snappy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::snappy(data));
