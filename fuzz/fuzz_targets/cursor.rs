//! Fuzzes a cursor of the change stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::cursor(data));
