//! What decides the bits of the arithmetic, in every task.

use serde::{Deserialize, Serialize};

use super::ranges::within;
use crate::overrides::ConfigError;

/// How attention is computed. `auto` is settled by `plan` before anything is hashed; a trainer
/// never sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionPath {
    Auto,
    /// Fused flash kernels (on a CPU, the tiled flash kernel).
    Flash,
    /// Tiled memory-efficient kernels.
    Efficient,
    /// Plain attention with the softmax in fp32.
    Safe,
}

impl AttentionPath {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flash => "flash",
            Self::Efficient => "efficient",
            Self::Safe => "safe",
        }
    }
}

/// What promise the arithmetic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// The same bits on any x86-64 CPU with AVX2 and FMA: instruction set and thread count are pinned.
    Portable,
    /// The same bits on the same class of hardware: the fastest kernels it has.
    Fast,
}

impl Numerics {
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Fast => "fast",
        }
    }
}

/// What decides the bits of the arithmetic, in every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    pub attention: AttentionPath,
    pub numerics: Numerics,
    /// Threads that share one tensor operation. Part of the numerics: sums are split by it.
    pub threads: u32,
}

impl Default for Compute {
    fn default() -> Self {
        Self { attention: AttentionPath::Auto, numerics: Numerics::Portable, threads: 2 }
    }
}

pub(super) fn check_compute(compute: &Compute) -> Result<(), ConfigError> {
    within("threads", f64::from(compute.threads), 1.0, 512.0)
}
