//! Initial values, drawn by a generator of our own: libtorch's normal draws depend on the CPU's
//! instruction set. Each tensor has its own stream, keyed by the seed and its name, so neither
//! the order of construction nor threads matter. Transcendental functions come from `libm`, so
//! the bits are the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use ybox_spec::Digest;

/// Standard deviation of the convolutions in an attention block.
const ATTENTION_STD: f64 = 0.02;

/// How a tensor starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Init {
    /// Uniform in +-1/sqrt(fan-in), the default of libtorch's convolutions.
    FanIn,
    /// Normal with standard deviation 0.02. The published models truncate at +-2, a hundred
    /// deviations away: no draw here gets beyond nine.
    Normal,
    Constant(f64),
    /// 0, 1, 2, ...
    Bins,
}

/// The values of a tensor of `shape` in row-major order. Shape `[]` has one.
pub(super) fn draw(init: Init, seed: u64, name: &str, shape: &[i64]) -> Vec<f32> {
    let len = shape.iter().product::<i64>() as usize;
    let mut stream = Stream::new(seed, name);
    match init {
        Init::FanIn => {
            let fan_in: i64 = shape[1..].iter().product();
            let bound = 1.0 / (fan_in as f64).sqrt();
            (0..len).map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32).collect()
        }
        Init::Normal => (0..len).map(|_| (ATTENTION_STD * stream.normal()) as f32).collect(),
        Init::Constant(value) => vec![value as f32; len],
        Init::Bins => (0..len).map(|bin| bin as f32).collect(),
    }
}

/// Random numbers that depend on a seed and a name only.
struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        let input = [&seed.to_le_bytes(), name.as_bytes()].concat();
        let key = Digest::in_domain("ybox init v1", &input);
        Self(ChaCha8Rng::from_seed(*key.as_bytes()))
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal, by Box and Muller's transform (its cosine half).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [i64; 4] = [64, 32, 3, 3];

    #[test]
    fn draws_follow_the_seed_and_the_name() {
        let draw = |seed, name| draw(Init::FanIn, seed, name, &SHAPE);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let moments = |init| {
            let values = draw(init, 7, "w", &SHAPE);
            let n = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
            (mean, square.sqrt())
        };
        // A uniform on +-b has deviation b / sqrt(3); fan-in is 32 * 9.
        for (init, deviation) in
            [(Init::FanIn, (1.0f64 / 288.0 / 3.0).sqrt()), (Init::Normal, 0.02)]
        {
            let (mean, root_mean_square) = moments(init);
            assert!(mean.abs() < deviation * 0.03, "{init:?}: {mean}");
            assert!((root_mean_square / deviation - 1.0).abs() < 0.02, "{init:?}");
        }
    }

    /// Pins the bits: a change here changes every run that starts from a seed. The values were
    /// also computed by another implementation of ChaCha8 and of the two transforms.
    #[test]
    fn first_draws_are_pinned() {
        let bits = |init| -> Vec<u32> {
            let values = draw(init, 0, "model.0.conv.weight", &[1, 3, 1, 1]);
            values.into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(Init::FanIn), [1056807052, 1042140662, 3200351696]);
        assert_eq!(bits(Init::Normal), [3170624795, 3155381353, 3163194228]);
    }
}
