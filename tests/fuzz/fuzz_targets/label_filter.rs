//! Fuzz target; see `fuzz::stages::label_filter::run_label_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::label_filter::run_label_filter(data));
