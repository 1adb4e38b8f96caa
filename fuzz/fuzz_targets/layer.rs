//! Layers, unpacked into a folder that they must not leave.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ybox::image::fuzzing::layer(bytes));
