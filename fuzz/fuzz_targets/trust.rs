//! Sealed and public keys, and the payloads of signatures.
#![no_main]

use ybox::trust::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzzing::payload(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzzing::key(text);
    }
});
