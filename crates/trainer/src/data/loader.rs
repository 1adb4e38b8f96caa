//! Batches of augmented training samples, made by threads ahead of the training loop, in an order
//! and with pixels that do not depend on how many threads there are.

use std::sync::Arc;

use ybox_spec::config::TrainConfig;

use super::augment::Augmented;
use super::ordered::Ordered;
use super::random::epoch_order;
use super::{Augmentation, DataError, Split};

/// One labelled object of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Index of the picture in the batch.
    pub image: usize,
    pub class: u32,
    /// Centre x, centre y, width, height as shares of the picture.
    pub bbox: [f32; 4],
}

/// `B` pictures of side `S`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[B, 3, S, S]`: red, green, blue.
    pub pixels: Vec<u8>,
    /// `S`.
    pub size: u32,
    /// Ordered by picture.
    pub targets: Vec<Target>,
    /// Which samples of the split these are; `B` of them.
    pub indices: Vec<usize>,
}

/// Makes the batches of any epoch.
pub struct Loader {
    split: Arc<Split>,
    augmentation: Arc<Augmentation>,
    batch: usize,
    workers: usize,
}

impl Loader {
    pub fn new(split: Arc<Split>, config: &TrainConfig, workers: usize) -> Self {
        let augmentation = Arc::new(Augmentation::from(config));
        Self { split, augmentation, batch: config.batch.max(1) as usize, workers }
    }

    /// Batches of an epoch; the last one may be smaller than the others.
    pub fn batches(&self) -> usize {
        self.split.len().div_ceil(self.batch)
    }

    /// Epoch `epoch`, from 0.
    pub fn epoch(&self, epoch: u32) -> Result<Batches, DataError> {
        self.epoch_from(epoch, 0)
    }

    /// Epoch `epoch` without its first `skipped` batches.
    pub fn epoch_from(&self, epoch: u32, skipped: usize) -> Result<Batches, DataError> {
        let order = epoch_order(self.augmentation.seed, epoch, self.split.len());
        let start = (skipped * self.batch).min(order.len());
        let order: Arc<[usize]> = order[start..].into();
        let (split, augmentation) = (Arc::clone(&self.split), Arc::clone(&self.augmentation));
        let jobs = Arc::clone(&order);
        // A whole batch can wait while a step runs, and every thread has work meanwhile.
        let window = self.batch + 2 * self.workers;
        let batch = self.batch;
        let sides: Arc<[u32]> =
            (skipped..self.batches()).map(|b| augmentation.side_of(epoch, b)).collect();
        let side_of_job = Arc::clone(&sides);
        let samples = Ordered::start(order.len(), self.workers, window, move |i| {
            augmentation.apply_sized(&split, jobs[i], epoch, side_of_job[i / batch])
        })?;
        Ok(Batches { samples, order, taken: 0, batch, sides })
    }
}

/// The batches of one epoch. Ends after an error.
pub struct Batches {
    samples: Ordered<Augmented>,
    order: Arc<[usize]>,
    taken: usize,
    batch: usize,
    /// By batch.
    sides: Arc<[u32]>,
}

impl Batches {
    fn collect_batch(&mut self, indices: &[usize]) -> Result<Batch, DataError> {
        let side = self.sides[self.taken / self.batch];
        let sample_len = 3 * side as usize * side as usize;
        let mut pixels = Vec::with_capacity(indices.len() * sample_len);
        let mut targets = Vec::new();
        for (image, sample) in self.samples.by_ref().take(indices.len()).enumerate() {
            let sample = sample?;
            pixels.extend_from_slice(&sample.planes);
            let objects = sample.objects.into_iter();
            targets.extend(objects.map(|o| Target { image, class: o.class, bbox: o.bbox }));
        }
        Ok(Batch { pixels, size: side, targets, indices: indices.to_vec() })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = Arc::clone(&self.order);
        let end = (self.taken + self.batch).min(order.len());
        let indices = &order[self.taken..end];
        if indices.is_empty() {
            return None;
        }
        let batch = self.collect_batch(indices);
        self.taken = if batch.is_ok() { end } else { order.len() };
        Some(batch)
    }
}
