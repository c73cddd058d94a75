//! Fuzz target; see `fuzz::push::bulk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push::bulk(data));
