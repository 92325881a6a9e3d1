//! Fuzzes a path in a tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::path(data));
