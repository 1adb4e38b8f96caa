//! Batches of augmented training samples, made by threads ahead of the training loop, in an order
//! and with pixels that do not depend on how many threads there are.

use std::sync::Arc;
use std::vec;

use ybox_spec::config::TrainConfig;

use super::augment::Augmented;
use super::batching::{Batching, Planned};
use super::ordered::Ordered;
use super::{Augmentation, DataError, Size, Split};

/// One labelled object of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Index of the picture in the batch.
    pub image: usize,
    pub class: u32,
    /// Centre x, centre y, width, height as shares of the picture.
    pub bbox: [f32; 4],
}

/// `B` pictures of width `W` and height `H`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[B, 3, H, W]`: red, green, blue.
    pub pixels: Vec<u8>,
    pub size: Size,
    /// Ordered by picture.
    pub targets: Vec<Target>,
    /// Which samples of the split these are; `B` of them.
    pub indices: Vec<usize>,
}

/// Makes the batches of any epoch.
pub struct Loader {
    split: Arc<Split>,
    augmentation: Arc<Augmentation>,
    batching: Batching,
    batch: usize,
    workers: usize,
}

impl Loader {
    pub fn new(split: Arc<Split>, config: &TrainConfig, workers: usize) -> Self {
        let augmentation = Arc::new(Augmentation::from(config));
        let batch = config.batch.max(1) as usize;
        let batching = match config.rect {
            true => Batching::rectangles(&split, batch),
            false => Batching::Squares { batch },
        };
        Self { split, augmentation, batching, batch, workers }
    }

    /// Batches of an epoch; one may be smaller than the others, the last if they are squares.
    pub fn batches(&self) -> usize {
        self.batching.count(self.split.len())
    }

    /// Epoch `epoch`, from 0.
    pub fn epoch(&self, epoch: u32) -> Result<Batches, DataError> {
        self.epoch_from(epoch, 0)
    }

    /// Epoch `epoch` without its first `skipped` batches.
    pub fn epoch_from(&self, epoch: u32, skipped: usize) -> Result<Batches, DataError> {
        let (split, augmentation) = (Arc::clone(&self.split), Arc::clone(&self.augmentation));
        let mut planned = self.batching.plan(&split, &augmentation, epoch);
        planned.drain(..skipped.min(planned.len()));
        let jobs: Vec<_> = planned
            .iter()
            .flat_map(|batch| batch.indices.iter().map(|index| (*index, batch.sizes)))
            .collect();
        // A whole batch can wait while a step runs, and every thread has work meanwhile.
        let window = self.batch + 2 * self.workers;
        let samples = Ordered::start(jobs.len(), self.workers, window, move |i| {
            let (index, sizes) = jobs[i];
            augmentation.apply_sized(&split, index, epoch, sizes)
        })?;
        Ok(Batches { samples, planned: planned.into_iter() })
    }
}

/// The batches of one epoch. Ends after an error.
pub struct Batches {
    samples: Ordered<Augmented>,
    planned: vec::IntoIter<Planned>,
}

impl Batches {
    fn collect_batch(&mut self, Planned { indices, sizes }: Planned) -> Result<Batch, DataError> {
        let size = sizes.output;
        let mut pixels = Vec::with_capacity(indices.len() * 3 * size.area());
        let mut targets = Vec::new();
        for (image, sample) in self.samples.by_ref().take(indices.len()).enumerate() {
            let sample = sample?;
            pixels.extend_from_slice(&sample.planes);
            let objects = sample.objects.into_iter();
            targets.extend(objects.map(|o| Target { image, class: o.class, bbox: o.bbox }));
        }
        Ok(Batch { pixels, size, targets, indices })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let planned = self.planned.next()?;
        let batch = self.collect_batch(planned);
        if batch.is_err() {
            self.planned = Vec::new().into_iter();
        }
        Some(batch)
    }
}
