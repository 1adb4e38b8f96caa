//! One epoch of steps.

use ybox_spec::chain::Step;
use ybox_spec::events::{Losses, Progress};

use super::care::Place;
use super::guard::Decision;
use super::outputs::Outputs;
use super::pending::Items;
use super::session::Session;
use crate::data::Batch;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::job::Job;
use crate::optim::{GradScaler, Rates};
use crate::progress::Phase;
use crate::{numerics, tensors};

/// What an epoch came to.
pub struct Trained {
    /// Means over the batches; 0 where none was finite.
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
    /// Batches whose losses are summed: those that were read and are finite.
    measured: u64,
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
        let mut rates = self.rates(epoch, 0);
        for batch in self.loader.epoch(epoch)? {
            if job.stop.requested() {
                return Ok(None);
            }
            let batch = batch?;
            outputs.draw_batch(&batch)?;
            rates = self.rates(epoch, sums.batches);
            self.accumulate(&batch)?;
            sums.add(&batch);
            if self.pending.batches >= rates.accumulate {
                let at = Place { epoch, step: outputs.steps() };
                sums.measure(self.step(&rates, at, &mut job.emit, outputs)?);
            }
            job.emit.progress(&phase, sums.batches, || sums.progress(&phase));
        }
        sums.measure(self.pending.read());
        Ok(Some(Trained {
            losses: sums.means(),
            instances: sums.instances,
            images_per_second: phase.rate(sums.images),
            rates,
        }))
    }

    fn rates(&self, epoch: u32, batch: u64) -> Rates {
        let rates = self.schedule.at(epoch, batch);
        let share = self.guard.lr_share();
        Rates { lr: rates.lr.map(|lr| lr * share), ..rates }
    }

    /// Adds the gradients of `batch`.
    fn accumulate(&mut self, batch: &Batch) -> Result<(), TrainerError> {
        #[cfg(test)]
        let batch = &self.faults.batch(batch);
        let device = numerics::device();
        let objects = batch.targets.iter().map(|t| (t.image, t.class, t.bbox));
        let images = tensors::images(batch, device);
        #[cfg(test)]
        let images = self.faults.images(images);
        let raw = self.forward(&images)?;
        let loss = self.loss.compute(&raw, &tensors::targets(objects, device));
        #[cfg(test)]
        let loss = self.faults.loss(loss);
        self.backward(&loss.total);
        self.pending.add(&loss, batch.indices.len());
        Ok(())
    }

    /// Moves the weights by the gradients that have been added up, unless they are unhealthy;
    /// returns loss components that were not read before.
    fn step(
        &mut self,
        rates: &Rates,
        at: Place,
        emit: &mut Emitter,
        outputs: &mut Outputs,
    ) -> Result<Vec<Items>, TrainerError> {
        #[cfg(test)]
        self.faults.gradients(&self.optimizer);
        self.unscale();
        let (measured, items) = self.pending.finish(self.optimizer.gradient_norm());
        if self.overflows(measured, at, emit) {
            return Ok(items);
        }
        match self.guard.judge(measured) {
            Decision::Refuse(cause, action) => self.refuse((cause, action), measured, at, emit)?,
            Decision::Take => {
                self.optimizer.clip_gradients(measured.norm, self.max_grad_norm);
                self.optimizer.step(rates);
                self.optimizer.zero_grad();
                self.scaler.iter_mut().for_each(GradScaler::grow);
                self.ema.update();
                outputs.append_step(Step::new(measured.loss, measured.norm))?;
                #[cfg(test)]
                self.faults.state(&self.optimizer, &self.ema);
                self.keep_healthy(Place { step: outputs.steps(), ..at }, emit)?;
            }
        }
        Ok(items)
    }
}

impl Sums {
    fn add(&mut self, batch: &Batch) {
        self.batches += 1;
        self.images += batch.indices.len() as u64;
        self.instances = batch.targets.len() as u64;
        self.imgsz = batch.size;
    }

    fn measure(&mut self, batches: Vec<Items>) {
        let finite = |items: &Items| items.iter().all(|item| item.is_finite());
        for items in batches.into_iter().filter(finite) {
            self.measured += 1;
            self.losses = std::array::from_fn(|i| self.losses[i] + f64::from(items[i]));
        }
    }

    fn progress(&self, phase: &Phase) -> Progress {
        Progress {
            losses: (self.measured > 0).then(|| self.means()),
            instances: self.instances,
            ..phase.progress(self.batches, self.images, self.imgsz)
        }
    }

    fn means(&self) -> Losses {
        let batches = self.measured.max(1) as f64;
        let [box_loss, cls_loss, dfl_loss] = self.losses.map(|sum| sum / batches);
        Losses { box_loss, cls_loss, dfl_loss }
    }
}
