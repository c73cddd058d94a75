//! Fuzz target; see `fuzz::stages::line_filters::run_line_filters`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::line_filters::run_line_filters(data));
