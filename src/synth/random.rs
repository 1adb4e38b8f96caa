//! Numbers keyed by seed and name: each picture's are its own, whatever is drawn before it.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use ybox_spec::Digest;

pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64, name: &str) -> Self {
        let key = Digest::in_domain("ybox.synth.v1", format!("{seed} {name}").as_bytes());
        Self(ChaCha8Rng::from_seed(*key.as_bytes()))
    }

    /// A whole number from `low` up to but not including `high`; the slight bias of the remainder
    /// does not matter here.
    pub fn range(&mut self, low: i32, high: i32) -> i32 {
        low + (self.0.next_u32() % (high - low) as u32) as i32
    }
}
