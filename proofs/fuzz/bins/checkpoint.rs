#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| retell_bridge_fuzz::targets::checkpoint::run(bytes));
