#![no_main]
//! libFuzzer on `fuzz::batch`.

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::batch(text));
