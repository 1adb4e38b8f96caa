//! Recipes and locks.
#![no_main]

use ybox::lock::fuzzing;

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzzing::lock(text);
    fuzzing::recipe(text);
});
