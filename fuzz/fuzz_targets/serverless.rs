//! Fuzzes reading and writing `serverless.yml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lb_fuzz::serverless(data));
