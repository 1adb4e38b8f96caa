//! Python wheels: zips.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ybox::image::fuzzing::wheel(bytes));
