//! Fuzzes a webhook: its address, its signatures and its body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::hook(data));
