//! What an epoch has come to so far, batch by batch.

use serde::{Deserialize, Serialize};
use ybox_spec::events::{Losses, Progress};

use super::pending::Items;
use crate::data::Batch;
use crate::loss::Means;
use crate::optim::Rates;
use crate::progress::Phase;

/// Sums over the batches of an epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sums {
    pub batches: u64,
    pub images: u64,
    /// Objects and longer side of pictures of the last one.
    pub instances: u64,
    imgsz: u32,
    /// Over the batches whose losses were read.
    #[serde(flatten)]
    means: Means,
    /// In force at the last one.
    pub rates: Option<Rates>,
}

impl Sums {
    pub fn add(&mut self, batch: &Batch, rates: Rates) {
        self.rates = Some(rates);
        self.batches += 1;
        self.images += batch.indices.len() as u64;
        self.instances = batch.targets.len() as u64;
        self.imgsz = batch.size.longer();
    }

    /// Adds the losses of `batches`.
    pub fn measure(&mut self, batches: Vec<Items>) {
        batches.into_iter().for_each(|items| self.means.add(items.map(f64::from)));
    }

    /// `before`: images that were trained on before the phase.
    pub fn progress(&self, phase: &Phase, before: u64) -> Progress {
        Progress {
            losses: (self.means.measured > 0).then(|| self.means.losses()),
            instances: self.instances,
            ..phase.progress(self.batches, self.images - before, self.imgsz)
        }
    }

    pub fn losses(&self) -> Losses {
        self.means.losses()
    }
}
