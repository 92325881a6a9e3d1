//! Fuzzes `lunchbadger.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::project(data));
