//! The pickle of a PyTorch checkpoint, and what is taken from it.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/trainer/src/pytorch"]
mod pytorch {
    pub mod checkpoint;
    pub mod pickle;
}

use pytorch::{checkpoint::Checkpoint, pickle::Pickle};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(pickle) = Pickle::read(bytes) {
        let _ = Checkpoint::read(&pickle);
    }
});
