//! Fuzz target; see `fuzz::syslog::run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::syslog::run(data));
