//! Measuring a model on a labelled split: COCO metrics and the loss.

use std::sync::Arc;

use tch::{Kind, Tensor};
use torch_ext::Precision;
use ybox_spec::config::Nms;
use ybox_spec::events::{Losses, Metrics};

use crate::data::{Prepared, Split, validation};
use crate::detect::{Classes, Detector};
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::eval::{Evaluator, Truth};
use crate::loss::{DetectionLoss, Means};
use crate::model::Yolo12;
use crate::progress::Phase;
use crate::{numerics, tensors};

/// What is measured on, and how.
pub struct Validation<'a> {
    pub split: &'a Arc<Split>,
    /// Of the classes that are counted.
    pub names: &'a [String],
    pub nms: &'a Nms,
    pub classes: Classes<'a>,
    pub loss: &'a DetectionLoss,
    pub workers: usize,
    /// What the network is cast to.
    pub precision: Option<Precision>,
    /// Where training stands, for progress: epoch from 1, of how many.
    pub epoch: (u32, u32),
}

/// What came out.
pub struct Verdict {
    pub metrics: Metrics,
    /// Means over the pictures whose losses are finite; 0 where none are.
    pub losses: Losses,
    /// Pictures whose losses are not.
    pub not_finite: u64,
    /// Knows every picture's boxes, by its place in the split.
    pub evaluator: Evaluator,
}

impl Verdict {
    /// What epochs are compared by: mAP50-95, with a tenth of mAP50. A model whose losses are not
    /// finite has none, whatever it finds.
    pub fn fitness(&self) -> Option<f64> {
        (self.not_finite == 0).then_some(0.1 * self.metrics.map50 + 0.9 * self.metrics.map)
    }
}

impl Validation<'_> {
    /// Runs `model` over the split.
    pub fn run(&self, model: &Yolo12, emit: &mut Emitter) -> Result<Verdict, TrainerError> {
        let detector = Detector {
            model,
            nms: self.nms,
            classes: self.classes,
            device: numerics::device(),
            precision: self.precision,
        };
        let mut evaluator = Evaluator::new(self.names.to_vec());
        let mut means = Means::default();
        let total = self.split.len() as u64;
        let phase = Phase::start("val", self.epoch, total);
        for (done, prepared) in (1..).zip(validation(self.split, self.workers)?) {
            let prepared = prepared?;
            let found = detector.detect(&prepared)?;
            means.add(self.loss_items(&found.raw, &prepared));
            evaluator.add(prepared.index as u64, &found.detections, &self.truths(&prepared));
            emit.progress(&phase, done, || phase.progress(done, done, self.split.imgsz()));
        }
        Ok(Verdict {
            metrics: evaluator.finish()?,
            losses: means.losses(),
            not_finite: total - means.measured,
            evaluator,
        })
    }

    /// The loss of one picture, in f64 so that the mean does not depend on how sums round.
    fn loss_items(&self, raw: &[Tensor; 3], prepared: &Prepared) -> [f64; 3] {
        let placement = &prepared.placement;
        let [width, height] = placement.original.map(|side| side as f32);
        let frame = [prepared.width as f32, prepared.height as f32];
        let objects = self.split.samples[prepared.index].objects.iter().map(|object| {
            let [left, top, right, bottom] =
                placement.to_frame(corners(object.bbox, [width, height]));
            let centre = [(left + right) / 2.0 / frame[0], (top + bottom) / 2.0 / frame[1]];
            let size = [(right - left) / frame[0], (bottom - top) / frame[1]];
            (0, object.class, [centre[0], centre[1], size[0], size[1]])
        });
        let targets = tensors::targets(objects, numerics::device());
        let items = tch::no_grad(|| self.loss.compute(raw, &targets).items.to_kind(Kind::Double));
        std::array::from_fn(|i| items.double_value(&[i as i64]))
    }

    fn truths(&self, prepared: &Prepared) -> Vec<Truth> {
        let size = prepared.placement.original.map(|side| side as f32);
        let objects = &self.split.samples[prepared.index].objects;
        objects.iter().map(|o| Truth { bbox: corners(o.bbox, size), class: o.class }).collect()
    }
}

/// Left, top, right, bottom in pixels of a normalised centre-and-size box.
fn corners([x, y, w, h]: [f32; 4], [width, height]: [f32; 2]) -> [f32; 4] {
    [(x - w / 2.0) * width, (y - h / 2.0) * height, (x + w / 2.0) * width, (y + h / 2.0) * height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_model_that_is_finite_has_a_fitness() {
        let fitness = |map, not_finite| {
            let metrics = Metrics { map, ..Default::default() };
            let evaluator = Evaluator::new(Vec::new());
            Verdict { metrics, losses: Losses::default(), not_finite, evaluator }.fitness()
        };
        assert_eq!(
            (fitness(0.9, 1), fitness(0.0, 0), fitness(1.0, 0)),
            (None, Some(0.0), Some(0.9))
        );
    }
}
