//! One epoch of steps.

use ybox_spec::chain::{Step, carries_parameters};
use ybox_spec::events::Losses;

use super::care::Place;
use super::guard::{Decision, Measured};
use super::outputs::Outputs;
use super::pending::Items;
use super::scaling::{backward, unscale};
use super::session::Session;
use crate::data::Batch;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::job::Job;
use crate::optim::{GradScaler, Rates};
use crate::progress::Phase;
use crate::{numerics, tensors, weights};

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

/// Called between two batches.
pub type Between<'a> = dyn FnMut(&Session, &Outputs, &mut Emitter) -> Result<(), TrainerError> + 'a;

impl Session {
    /// Trains the rest of the epoch that it stands in; `None` when it has to stop before its end.
    pub fn train_epoch(
        &mut self,
        job: &mut Job,
        outputs: &mut Outputs,
        between: &mut Between,
    ) -> Result<Option<Trained>, TrainerError> {
        let (epoch, batches) = (self.epoch, self.loader.batches() as u64);
        let phase = Phase::start("train", (epoch + 1, self.epochs), batches);
        let before = self.sums.images;
        for batch in self.loader.epoch_from(epoch, self.sums.batches as usize)? {
            if job.has_to_stop(epoch, outputs.steps()) {
                return Ok(None);
            }
            let batch = batch?;
            outputs.draw_batch(&batch, u64::from(epoch) * batches + self.sums.batches)?;
            let rates = self.rates(epoch, self.sums.batches);
            self.accumulate(&batch)?;
            self.sums.add(&batch, rates);
            if self.pending.batches >= rates.accumulate {
                let at = Place { epoch, step: outputs.steps() };
                let measured = self.step(&rates, at, &mut job.emit, outputs)?;
                self.sums.measure(measured);
            }
            between(self, outputs, &mut job.emit)?;
            let sums = &self.sums;
            job.emit.progress(&phase, sums.batches, || sums.progress(&phase, before));
        }
        Ok(Some(self.end_epoch(&phase, before)))
    }

    fn end_epoch(&mut self, phase: &Phase, before: u64) -> Trained {
        self.sums.measure(self.pending.read());
        self.epoch += 1;
        let sums = std::mem::take(&mut self.sums);
        Trained {
            losses: sums.losses(),
            instances: sums.instances,
            images_per_second: phase.rate(sums.images - before),
            rates: sums.rates.expect("an epoch has a batch"),
        }
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
        backward(self.scaler.as_ref(), &loss.total);
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
        unscale(self.scaler.as_ref(), &mut self.optimizer);
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
                outputs.append_step(self.chained(measured, outputs.steps() + 1)?)?;
                #[cfg(test)]
                self.faults.state(&self.optimizer, &self.ema);
                self.keep_healthy(Place { step: outputs.steps(), ..at }, emit)?;
            }
        }
        Ok(items)
    }
}

impl Session {
    /// What the chain keeps of step number `step`.
    fn chained(&self, measured: Measured, step: u64) -> Result<Step, TrainerError> {
        let chained = Step::new(measured.loss, measured.norm);
        Ok(match carries_parameters(step) {
            true => chained.with_parameters(weights::digest(&self.model.state_dict())?),
            false => chained,
        })
    }
}
