#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steady_fuzz::response(bytes));
