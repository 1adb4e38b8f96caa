//! One epoch of steps.

use ybox_spec::chain::Step;
use ybox_spec::events::{Losses, Progress};

use super::outputs::Outputs;
use super::session::{Pending, Session};
use crate::data::Batch;
use crate::error::TrainerError;
use crate::job::Job;
use crate::model::Mode;
use crate::optim::Rates;
use crate::progress::Phase;
use crate::{numerics, tensors};

/// What an epoch came to.
pub struct Trained {
    /// Means over the batches.
    pub losses: Losses,
    /// Objects in the last batch.
    pub instances: u64,
    pub images_per_second: f64,
    /// In force at the last batch.
    pub rates: Rates,
}

/// Sums over the batches of an epoch.
#[derive(Default)]
struct Sums {
    batches: u64,
    images: u64,
    /// Objects and size of pictures of the last one.
    instances: u64,
    imgsz: u32,
    losses: [f64; 3],
}

impl Session {
    /// Trains epoch `epoch`, from 0; `None` when the user asked to stop.
    pub fn train_epoch(
        &mut self,
        epoch: u32,
        job: &mut Job,
        outputs: &mut Outputs,
    ) -> Result<Option<Trained>, TrainerError> {
        let batches = self.loader.batches() as u64;
        let phase = Phase::start("train", (epoch + 1, self.epochs), batches);
        let mut sums = Sums::default();
        let mut rates = self.schedule.at(epoch, 0);
        for batch in self.loader.epoch(epoch)? {
            if job.stop.requested() {
                return Ok(None);
            }
            let batch = batch?;
            outputs.draw_batch(&batch)?;
            rates = self.schedule.at(epoch, sums.batches);
            let items = self.accumulate(&batch, epoch, outputs)?;
            if self.pending.batches >= rates.accumulate {
                self.step(&rates, outputs)?;
            }
            sums.add(&batch, items);
            job.emit.progress(&phase, sums.batches, || sums.progress(&phase));
        }
        Ok(Some(Trained {
            losses: sums.means(),
            instances: sums.instances,
            images_per_second: phase.rate(sums.images),
            rates,
        }))
    }

    /// Adds the gradients of `batch`; returns its loss components.
    fn accumulate(
        &mut self,
        batch: &Batch,
        epoch: u32,
        outputs: &Outputs,
    ) -> Result<[f32; 3], TrainerError> {
        let device = numerics::device();
        let objects = batch.targets.iter().map(|t| (t.image, t.class, t.bbox));
        let raw = self.model.forward(&tensors::images(batch, device), Mode::Train);
        let loss = self.loss.compute(&raw, &tensors::targets(objects, device));
        let total = loss.total.double_value(&[]) as f32;
        if !total.is_finite() {
            return Err(TrainerError::NotFinite { epoch: epoch + 1, step: outputs.steps() + 1 });
        }
        loss.total.backward();
        self.pending.batches += 1;
        self.pending.loss += total;
        Ok(std::array::from_fn(|i| loss.items.double_value(&[i as i64]) as f32))
    }

    /// Moves the weights by the gradients that have been added up.
    fn step(&mut self, rates: &Rates, outputs: &mut Outputs) -> Result<(), TrainerError> {
        let norm = self.optimizer.clip_gradients(self.max_grad_norm);
        self.optimizer.step(rates);
        self.optimizer.zero_grad();
        self.ema.update();
        let Pending { loss, .. } = std::mem::take(&mut self.pending);
        outputs.append_step(Step::new(loss, norm))
    }
}

impl Sums {
    fn add(&mut self, batch: &Batch, items: [f32; 3]) {
        self.batches += 1;
        self.images += batch.indices.len() as u64;
        self.instances = batch.targets.len() as u64;
        self.imgsz = batch.size;
        self.losses = std::array::from_fn(|i| self.losses[i] + f64::from(items[i]));
    }

    fn progress(&self, phase: &Phase) -> Progress {
        Progress {
            losses: Some(self.means()),
            instances: self.instances,
            ..phase.progress(self.batches, self.images, self.imgsz)
        }
    }

    fn means(&self) -> Losses {
        let [box_loss, cls_loss, dfl_loss] = self.losses.map(|sum| sum / self.batches as f64);
        Losses { box_loss, cls_loss, dfl_loss }
    }
}
