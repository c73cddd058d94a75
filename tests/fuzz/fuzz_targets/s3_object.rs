//! Fuzz target; see `fuzz::aws::object`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::object(data));
