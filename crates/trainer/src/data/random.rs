//! Counter-based random numbers: a ChaCha8 stream keyed by (seed, epoch, sample, purpose). Two
//! streams never share state, so neither threads nor the order of work can change a draw.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream is drawn for. The numbers are part of the key: never reuse or renumber one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    Order = 1,
    Mosaic = 2,
    Affine = 3,
    Hsv = 4,
    Flip = 5,
    Perspective = 6,
    CopyPaste = 7,
    Mixup = 8,
    Side = 9,
}

/// One stream.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The key is the four numbers, little-endian, one after another.
    pub fn new(seed: u64, epoch: u32, sample: u64, purpose: Purpose) -> Self {
        let mut key = [0; 32];
        let parts = [seed, u64::from(epoch), sample, purpose as u64];
        for (bytes, part) in key.chunks_exact_mut(8).zip(parts) {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1): the top 53 bits of a word, exact in an `f64`.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform between `low` and `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`. Always takes one draw.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Distributed by Beta(32, 32): the middle one of 63 uniform draws, whose distribution that is.
    pub fn beta_32(&mut self) -> f64 {
        let mut draws = [(); 63].map(|()| self.unit());
        draws.sort_unstable_by(f64::total_cmp);
        draws[31]
    }

    /// Uniform below `n`, without bias: words from the incomplete last cycle of `n` are redrawn.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0");
        let last_cycle = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let word = self.0.next_u64();
            if word <= last_cycle {
                return word % n;
            }
        }
    }
}

/// The order in which an epoch visits `len` samples: a Fisher-Yates shuffle.
pub fn epoch_order(seed: u64, epoch: u32, len: usize) -> Vec<usize> {
    let mut random = Random::new(seed, epoch, 0, Purpose::Order);
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_makes_another_stream() {
        let first = |seed, epoch, sample, purpose| {
            Random::new(seed, epoch, sample, purpose).unit().to_bits()
        };
        let draws = [
            first(0, 0, 0, Purpose::Mosaic),
            first(1, 0, 0, Purpose::Mosaic),
            first(0, 1, 0, Purpose::Mosaic),
            first(0, 0, 1, Purpose::Mosaic),
            first(0, 0, 0, Purpose::Affine),
        ];
        let mut distinct = draws.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), draws.len());
        assert_eq!(first(1, 0, 0, Purpose::Mosaic), draws[1]);
    }

    #[test]
    fn the_stream_is_pinned() {
        // From a separate implementation of ChaCha8 and of the rules above.
        let mut random = Random::new(7, 3, 11, Purpose::Hsv);
        let words: Vec<u64> = (0..3).map(|_| random.below(1_000_000_007)).collect();
        assert_eq!(words, [397_501_476, 845_534_467, 924_492_680]);
        assert_eq!(epoch_order(0, 0, 8), [3, 6, 4, 0, 7, 5, 1, 2]);
    }

    #[test]
    fn an_order_is_a_permutation_that_changes_with_the_epoch() {
        let mut order = epoch_order(5, 2, 100);
        assert_ne!(order, epoch_order(5, 3, 100));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        assert_eq!(epoch_order(5, 2, 0), [0; 0]);
    }

    #[test]
    fn a_beta_draw_has_the_mean_and_variance_of_beta_32_32() {
        let mut random = Random::new(3, 0, 0, Purpose::Mixup);
        let draws: Vec<_> = (0..4000).map(|_| random.beta_32()).collect();
        let mean = draws.iter().sum::<f64>() / 4000.0;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        // a b / ((a + b)^2 (a + b + 1)) = 1 / 260.
        assert!((variance * 260.0 - 1.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn draws_are_uniform() {
        let mut random = Random::new(0, 0, 0, Purpose::Order);
        let n = 60_000;
        let mut counts = [0u32; 6];
        let mut sum = 0.0;
        for _ in 0..n {
            counts[random.below(6) as usize] += 1;
            sum += random.uniform(-1.0, 3.0);
        }
        assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
        assert!((sum / f64::from(n) - 1.0).abs() < 0.02);
    }
}
