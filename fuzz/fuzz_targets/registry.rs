//! What a registry answers: manifests, indexes, challenges; and references that people type.
#![no_main]

use ybox::registry::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzzing::documents(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzzing::challenge(text);
        fuzzing::place(text);
    }
});
