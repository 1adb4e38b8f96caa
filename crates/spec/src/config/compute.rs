//! What decides the bits of the arithmetic, in every task.

use serde::{Deserialize, Serialize};

use super::ranges::within;
use crate::overrides::{ConfigError, Values};

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

/// Memory that cuBLAS splits its work by on a GPU (`CUBLAS_WORKSPACE_CONFIG`). Of all it takes, only
/// these give the same bits each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum CublasWorkspace {
    /// Eight buffers of 4 MiB.
    #[default]
    Large,
    /// Eight of 16 KiB: less memory, slower.
    Small,
}

impl CublasWorkspace {
    pub const KEY: &str = "cublas_workspace";

    /// The value as cuBLAS reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Large => ":4096:8",
            Self::Small => ":16:8",
        }
    }

    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<CublasWorkspace> for &'static str {
    fn from(workspace: CublasWorkspace) -> Self {
        workspace.name()
    }
}

impl TryFrom<String> for CublasWorkspace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = [Self::Large, Self::Small].into_iter().find(|w| w.name() == text);
        found.ok_or_else(|| {
            format!("with `{text}` cuBLAS may give other bits each time: use :4096:8 or :16:8")
        })
    }
}

/// What decides the bits of the arithmetic, in every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    pub attention: AttentionPath,
    pub numerics: Numerics,
    /// Threads that share one tensor operation. Part of the numerics: sums are split by it.
    pub threads: u32,
    /// Left out where it is the default, so that hashes from before it was there stay.
    #[serde(default, skip_serializing_if = "CublasWorkspace::is_default")]
    pub cublas_workspace: CublasWorkspace,
}

impl Compute {
    /// What is left out where it is the default.
    pub(super) fn unwritten() -> Values {
        let workspace = CublasWorkspace::default().name();
        Values::from_iter([(CublasWorkspace::KEY.to_owned(), workspace.into())])
    }
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            attention: AttentionPath::Auto,
            numerics: Numerics::Portable,
            threads: 2,
            cublas_workspace: CublasWorkspace::Large,
        }
    }
}

pub(super) fn check_compute(compute: &Compute) -> Result<(), ConfigError> {
    within("threads", f64::from(compute.threads), 1.0, 512.0)
}
