#![no_main]
//! libFuzzer on `fuzz::message`.

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::message(text));
