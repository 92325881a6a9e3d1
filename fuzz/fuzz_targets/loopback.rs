//! Fuzzes files of the LoopBack project.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::loopback(data));
