//! Fuzzes edits of `lunchbadger.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::edit(data));
