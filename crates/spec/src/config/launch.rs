//! What is said of a run beside its config.

use serde::{Deserialize, Deserializer, Serialize};

use super::cache::CacheChoice;
use super::cadence::CheckpointEvery;
use super::checkpointing::{AutoCheckpointing, Checkpointing};
use super::ranges::{above_zero, within};
use crate::memory::MemorySize;
use crate::overrides::{ConfigError, Schema};

/// Settings of a run that can't change its result: they are recorded, never hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Launch {
    /// The data set's YAML file.
    pub data: Option<String>,
    /// Weights to validate, to predict with, to export, or to start training from.
    pub weights: Option<String>,
    /// Pictures to predict on: a file, a folder or a glob.
    pub source: Option<String>,
    /// A file of settings to use instead of the model's preset.
    pub cfg: Option<String>,
    /// Loader threads; 0 is one as well.
    pub workers: u32,
    /// Where decoded pictures are kept (train, val).
    pub cache: CacheChoice,
    /// Memory for time in training.
    pub checkpointing: AutoCheckpointing,
    /// The most memory that `checkpointing=auto` and `batch=auto` plan with, and that `cache=ram`
    /// takes the half of, like `12GiB`.
    pub memory: Option<String>,
    #[serde(deserialize_with = "text")]
    pub device: String,
    /// Whether GPUs may reach each other's memory directly.
    pub p2p: PeerAccess,
    /// Folder of run folders; by default `runs/<task>`.
    pub project: Option<String>,
    /// Name of the run folder; by default `exp`, numbered when taken.
    pub name: Option<String>,
    /// Write into an existing run folder of that name.
    pub exist_ok: bool,
    /// Draw curves and sample pictures (train, val).
    pub plots: bool,
    /// How often a training keeps a checkpoint, like `200` steps, `5m`, or `0` for never.
    #[serde(deserialize_with = "text")]
    pub checkpoint_every: String,
    /// The run folder of a training to go on with.
    pub resume: Option<String>,
    /// Hours after which a training stops with what it has reached, counted from each start anew.
    pub time: Option<f64>,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            data: None,
            weights: None,
            source: None,
            cfg: None,
            workers: 2,
            cache: CacheChoice::Auto,
            checkpointing: AutoCheckpointing::Is(Checkpointing::None),
            memory: None,
            device: "auto".into(),
            p2p: PeerAccess::Auto,
            project: None,
            name: None,
            exist_ok: false,
            plots: true,
            checkpoint_every: "5m".into(),
            resume: None,
            time: None,
        }
    }
}

/// Direct access of several GPUs to each other's memory, as NCCL is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerAccess {
    /// Where nothing is known to stand between them.
    #[default]
    Auto,
    On,
    /// `NCCL_P2P_DISABLE=1`.
    Off,
}

/// `device=0` is a number to YAML, `device=0,1` a text, `device=[0,1]` a list.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Number(u32),
        Text(String),
        List(Vec<u32>),
    }
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
        Scalar::List(numbers) => {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
    })
}

impl Schema for Launch {
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(memory) = &self.memory {
            let size = memory.parse::<MemorySize>();
            size.map_err(|reason| ConfigError::Value { key: "memory".into(), reason })?;
        }
        let every = self.checkpoint_every.parse::<CheckpointEvery>();
        every.map_err(|reason| ConfigError::Value { key: "checkpoint_every".into(), reason })?;
        if let Some(hours) = self.time {
            above_zero("time", hours, 1e6)?;
        }
        within("workers", f64::from(self.workers), 0.0, 512.0)
    }
}
