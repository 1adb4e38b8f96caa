//! Faults put into a training on purpose, for tests only: nothing of this is in the program.

// clippy.toml allows it in #[test] functions; here it is what they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use tch::{Tensor, no_grad};

use crate::data::{Batch, Target};
use crate::loss::LossOutput;
use crate::optim::{Ema, Optimizer};

const VICTIM: &str = "model.4.cv1.bn.bias";
/// Logits of the classes.
const HEAD: &str = "model.21.cv3.0.2.bias";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    LossNan,
    GradientNan,
    GradientInfinite,
    AverageNan,
    /// The moving average becomes so large, while finite, that what it computes is not.
    AverageHuge,
    ImageInfinite,
    NoObjects,
    ManyObjects,
    /// One weight becomes NaN after its step.
    WeightNan,
}

/// Faults by the batch that they befall, from 0.
#[derive(Debug, Default)]
pub struct Faults {
    pub at: BTreeMap<u64, Fault>,
    batches: u64,
}

impl Faults {
    pub fn new(at: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self { at: at.into_iter().collect(), batches: 0 }
    }

    /// Called first for each batch.
    pub fn batch(&mut self, batch: &Batch) -> Batch {
        self.batches += 1;
        let mut batch = batch.clone();
        if self.now(Fault::NoObjects) {
            batch.targets.clear();
        }
        if self.now(Fault::ManyObjects) {
            batch.targets = (0..2000).map(many).collect();
        }
        batch
    }

    pub fn images(&self, images: Tensor) -> Tensor {
        match self.now(Fault::ImageInfinite) {
            true => images * f64::INFINITY,
            false => images,
        }
    }

    pub fn loss(&self, loss: LossOutput) -> LossOutput {
        match self.now(Fault::LossNan) {
            true => LossOutput { total: loss.total * f64::NAN, ..loss },
            false => loss,
        }
    }

    pub fn gradients(&self, optimizer: &Optimizer) {
        if self.now(Fault::GradientNan) {
            poison(&victim(optimizer).grad());
        }
        if self.now(Fault::GradientInfinite) {
            put(&victim(optimizer).grad(), f64::INFINITY);
        }
    }

    /// After a step.
    pub fn state(&self, optimizer: &Optimizer, ema: &Ema) {
        if self.now(Fault::AverageNan) {
            poison(&average(ema, VICTIM));
        }
        if self.now(Fault::AverageHuge) {
            put(&average(ema, HEAD), f32::MAX.into());
        }
        if self.now(Fault::WeightNan) {
            poison(&victim(optimizer));
        }
    }

    fn now(&self, fault: Fault) -> bool {
        self.at.get(&(self.batches - 1)) == Some(&fault)
    }
}

/// All in the first picture.
fn many(i: u16) -> Target {
    let [x, y] = [f32::from(i % 50) / 50.0, f32::from(i / 50) / 40.0];
    Target { image: 0, class: u32::from(i % 3), bbox: [x + 0.01, y + 0.01, 0.02, 0.02] }
}

fn victim(optimizer: &Optimizer) -> Tensor {
    let mut parameters = optimizer.parameters().iter();
    parameters.find(|p| p.name == VICTIM).unwrap().tensor.shallow_clone()
}

fn average(ema: &Ema, name: &str) -> Tensor {
    let mut averages = ema.tensors().into_iter();
    averages.find(|(known, _)| known == name).unwrap().1
}

fn poison(tensor: &Tensor) {
    put(tensor, f64::NAN);
}

/// In the place of one value of many.
fn put(tensor: &Tensor, value: f64) {
    let _ = no_grad(|| tensor.get(0).fill_(value));
}
