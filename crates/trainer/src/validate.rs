//! Measuring a model on a labelled split: COCO metrics and the loss.

use std::sync::Arc;

use tch::{Kind, Tensor};
use ybox_spec::config::Nms;
use ybox_spec::events::{Losses, Metrics};

use crate::data::{Prepared, Split, validation};
use crate::detect::{Classes, Detector};
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::eval::metrics::{Evaluator, Truth};
use crate::loss::DetectionLoss;
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
    /// Where training stands, for progress: epoch from 1, of how many.
    pub epoch: (u32, u32),
}

/// What came out.
pub struct Verdict {
    pub metrics: Metrics,
    /// Means over the pictures.
    pub losses: Losses,
    /// Knows every picture's boxes, by its place in the split.
    pub evaluator: Evaluator,
}

impl Validation<'_> {
    /// Runs `model` over the split.
    pub fn run(&self, model: &Yolo12, emit: &mut Emitter) -> Result<Verdict, TrainerError> {
        let detector =
            Detector { model, nms: self.nms, classes: self.classes, device: numerics::device() };
        let mut evaluator = Evaluator::new(self.names.to_vec());
        let mut losses = [0.0; 3];
        let total = self.split.len() as u64;
        let phase = Phase::start("val", self.epoch, total);
        for (done, prepared) in (1..).zip(validation(self.split, self.workers)?) {
            let prepared = prepared?;
            let found = detector.detect(&prepared);
            let items = self.loss_items(&found.raw, &prepared);
            losses = std::array::from_fn(|i| losses[i] + items[i]);
            evaluator.add(prepared.index as u64, &found.detections, &self.truths(&prepared));
            emit.progress(&phase, done, || phase.progress(done, done, self.split.imgsz()));
        }
        let [box_loss, cls_loss, dfl_loss] = losses.map(|sum| sum / total as f64);
        Ok(Verdict {
            metrics: evaluator.finish()?,
            losses: Losses { box_loss, cls_loss, dfl_loss },
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
