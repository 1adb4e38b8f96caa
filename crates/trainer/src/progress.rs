//! How far a phase of the work has come, as an event.

use std::time::Instant;

use ybox_spec::events::Progress;

use crate::memory;
use crate::numerics;

/// One pass over pictures or batches, from its start.
pub struct Phase {
    /// `scan`, `train` or `val`.
    name: &'static str,
    /// From 1, of how many; 0 of 0 outside a training.
    epoch: (u32, u32),
    /// Pictures or batches in all.
    total: u64,
    started: Instant,
}

impl Phase {
    pub fn start(name: &'static str, epoch: (u32, u32), total: u64) -> Self {
        Self { name, epoch, total, started: Instant::now() }
    }

    pub fn is_over(&self, done: u64) -> bool {
        done == self.total
    }

    /// After `done` of the total, which were `images` pictures of size `imgsz`.
    pub fn progress(&self, done: u64, images: u64, imgsz: u32) -> Progress {
        Progress {
            phase: self.name.into(),
            epoch: self.epoch.0,
            epochs: self.epoch.1,
            done,
            total: self.total,
            losses: None,
            instances: 0,
            imgsz,
            memory: memory::in_use(numerics::device()),
            images_per_second: self.rate(images),
        }
    }

    /// Pictures per second so far.
    pub fn rate(&self, images: u64) -> f64 {
        images as f64 / self.started.elapsed().as_secs_f64()
    }
}
