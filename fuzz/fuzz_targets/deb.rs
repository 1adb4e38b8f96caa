//! Debian packages: an `ar` of compressed tars.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ybox::image::fuzzing::deb(bytes));
