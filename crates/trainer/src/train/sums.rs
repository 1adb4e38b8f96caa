//! What an epoch has come to so far, batch by batch.

use serde::{Deserialize, Serialize};
use ybox_spec::events::{Losses, Progress};

use super::pending::Items;
use crate::data::Batch;
use crate::optim::Rates;
use crate::progress::Phase;

/// Sums over the batches of an epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sums {
    pub batches: u64,
    pub images: u64,
    /// Objects and size of pictures of the last one.
    pub instances: u64,
    imgsz: u32,
    /// Batches whose losses are summed: those that were read and are finite.
    measured: u64,
    losses: [f64; 3],
    /// In force at the last one.
    pub rates: Option<Rates>,
}

impl Sums {
    pub fn add(&mut self, batch: &Batch, rates: Rates) {
        self.rates = Some(rates);
        self.batches += 1;
        self.images += batch.indices.len() as u64;
        self.instances = batch.targets.len() as u64;
        self.imgsz = batch.size;
    }

    /// Adds the losses of `batches`, where they are finite.
    pub fn measure(&mut self, batches: Vec<Items>) {
        let finite = |items: &Items| items.iter().all(|item| item.is_finite());
        for items in batches.into_iter().filter(finite) {
            self.measured += 1;
            self.losses = std::array::from_fn(|i| self.losses[i] + f64::from(items[i]));
        }
    }

    /// `before`: images that were trained on before the phase.
    pub fn progress(&self, phase: &Phase, before: u64) -> Progress {
        Progress {
            losses: (self.measured > 0).then(|| self.means()),
            instances: self.instances,
            ..phase.progress(self.batches, self.images - before, self.imgsz)
        }
    }

    /// Means over the batches; 0 where none was finite.
    pub fn means(&self) -> Losses {
        let batches = self.measured.max(1) as f64;
        let [box_loss, cls_loss, dfl_loss] = self.losses.map(|sum| sum / batches);
        Losses { box_loss, cls_loss, dfl_loss }
    }
}
