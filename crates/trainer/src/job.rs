//! What every task is given, and how it can end well.

use std::path::PathBuf;
use std::time::Instant;

use ybox_spec::config::{AutoCheckpointing, CheckpointEvery};
use ybox_spec::manifest::Manifest;
use ybox_spec::memory::MemorySize;

use crate::caching::Caching;
use crate::emit::Emitter;
use crate::stop::Stop;

/// Inputs, place of the outputs, and ways to say how it goes.
pub struct Job {
    pub manifest: Manifest,
    pub data: PathBuf,
    pub out: PathBuf,
    pub weights: Option<PathBuf>,
    pub workers: usize,
    /// Whether to draw curves and sample pictures.
    pub plots: bool,
    pub checkpointing: AutoCheckpointing,
    /// Where decoded pictures are kept.
    pub cache: Caching,
    /// The most that `checkpointing=auto` plans with.
    pub memory: Option<MemorySize>,
    /// The file of the config.
    pub config: PathBuf,
    pub emit: Emitter,
    pub stop: Stop,
    /// Goes on with the training whose files are in `out`.
    pub resume: bool,
    pub checkpoint_every: CheckpointEvery,
    /// Where a training stops before its end, as if the user had asked to.
    pub stop_after: Option<StopAfter>,
    /// When a training has spent its time.
    pub deadline: Option<Instant>,
}

/// A point of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAfter {
    Steps(u64),
    Epochs(u32),
}

impl Job {
    /// Whether a training stops that has taken `steps` steps and is in `epoch`, from 0.
    pub fn has_to_stop(&self, epoch: u32, steps: u64) -> bool {
        let spent = || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.is_asked_to_stop(epoch, steps) || spent()
    }

    /// The outcome of a training that had to stop there.
    pub fn stopped(&self, epoch: u32, steps: u64) -> Outcome {
        match self.is_asked_to_stop(epoch, steps) {
            true => Outcome::Interrupted { epoch },
            false => Outcome::OutOfTime { epoch },
        }
    }

    fn is_asked_to_stop(&self, epoch: u32, steps: u64) -> bool {
        let reached = match self.stop_after {
            None => false,
            Some(StopAfter::Steps(last)) => steps >= last,
            Some(StopAfter::Epochs(last)) => epoch >= last,
        };
        reached || self.stop.requested()
    }

    /// Notes that COCO results can't tell the picture at `path` from `twin`, if there is one.
    pub fn note_same_image_id(&mut self, path: &str, twin: Option<String>) {
        if let Some(twin) = twin {
            let message = format!("{path} and {twin} have the same image_id in predictions.json");
            self.emit.note("same-image-id", message);
        }
    }
}

/// How a task ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// Stopped on request after this many epochs; the outputs are theirs.
    Interrupted {
        epoch: u32,
    },
    /// The same, because its time is spent.
    OutOfTime {
        epoch: u32,
    },
}
