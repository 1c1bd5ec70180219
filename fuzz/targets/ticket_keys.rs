#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certreload::fuzzing::ticket_keys(bytes));
