//! What the loader reads of an ELF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ybox::image::fuzzing::elf(bytes));
