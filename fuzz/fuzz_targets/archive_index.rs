//! Indexes of a Debian archive, and the order of versions.
#![no_main]

use ybox::lock::fuzzing;

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzzing::archive_index(text);
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    fuzzing::versions(line(), line(), line());
});
