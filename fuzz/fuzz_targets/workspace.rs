//! Fuzzes requests to the workspace API.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::workspace(data));
