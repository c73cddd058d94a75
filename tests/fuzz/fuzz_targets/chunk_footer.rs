//! Fuzz target; see `fuzz::chunk_footer::run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::chunk_footer::run(data));
