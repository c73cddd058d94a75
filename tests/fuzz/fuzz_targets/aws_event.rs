//! Fuzz target; see `fuzz::aws::event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::event(data));
