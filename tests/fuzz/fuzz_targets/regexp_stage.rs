//! Fuzz target; see `fuzz::stages::regexp::run_regexp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::regexp::run_regexp(data));
