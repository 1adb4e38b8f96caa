//! Detection loss on the three raw prediction maps: class, box and distance distribution. All of
//! it runs in fp32 whatever the maps' type. How predictions come about is left to the model, what
//! is done with the loss to the training loop.
//!
//! Dimensions: `N` pictures, `A` anchor points of all maps, `F` assigned predictions of the batch,
//! `n` boxes of the batch.

pub mod assigner;
pub mod boxes;
pub mod class;
pub mod dfl;
mod means;

use tch::{Kind, Tensor, no_grad};

use crate::anchors::{Anchors, STRIDES, make_anchors};
use crate::model::BOX_CHANNELS;

pub use assigner::{Assigner, MinSide};
use boxes::{ciou, cxcywh_to_xyxy};
pub use means::Means;

/// The boxes of a batch, on the device of the predictions. A picture may have none, and `n` may
/// be 0.
#[derive(Debug)]
pub struct Targets {
    /// `[n]` i64: the picture's place in the batch, below `N`.
    pub batch_idx: Tensor,
    /// `[n]` i64: the class, below the number of classes.
    pub cls: Tensor,
    /// `[n, 4]` f32: centre x, centre y, width, height as shares of the picture's sides.
    pub boxes: Tensor,
}

/// Weights of the three components.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gains {
    pub box_loss: f64,
    pub cls_loss: f64,
    pub dfl_loss: f64,
}

impl Default for Gains {
    fn default() -> Self {
        Self { box_loss: 7.5, cls_loss: 0.5, dfl_loss: 1.5 }
    }
}

#[derive(Debug)]
pub struct LossOutput {
    /// Scalar to call `backward` on: the sum of the components times the number of pictures.
    pub total: Tensor,
    /// `[3]` f32, detached: box, class and DFL loss after their gains.
    pub items: Tensor,
}

#[derive(Debug, Clone)]
pub struct DetectionLoss {
    classes: i64,
    gains: Gains,
    assigner: Assigner,
    /// By class; all 1 where absent.
    class_weights: Option<Vec<f32>>,
}

/// Raw maps, flattened and joined.
struct Predictions {
    /// `[N, A, 64]`.
    box_logits: Tensor,
    /// `[N, A, nc]`.
    class_logits: Tensor,
    anchors: Anchors,
    /// `[A, 2]`: x, y in input pixels.
    points: Tensor,
    /// Width, height, width, height of the input in pixels.
    size: [f32; 4],
}

/// What the assigned predictions of a batch should say.
struct Assigned {
    /// `[F]` i64.
    pictures: Tensor,
    /// `[F]` i64.
    anchors: Tensor,
    /// `[F]` i64.
    labels: Tensor,
    /// `[F, 4]` f32: corners in input pixels.
    boxes: Tensor,
    /// `[F]` f32.
    scores: Tensor,
}

impl DetectionLoss {
    /// `classes`: channels of a raw map after the first 64.
    pub fn new(classes: usize, gains: Gains, assigner: Assigner) -> Self {
        Self { classes: classes as i64, gains, assigner, class_weights: None }
    }

    /// The same with classes that weigh differently in the class loss.
    pub fn with_class_weights(self, class_weights: Option<Vec<f32>>) -> Self {
        Self { class_weights, ..self }
    }

    /// The loss of a batch.
    ///
    /// `raw`: `[N, 64 + nc, H / s, W / s]` for the strides 8, 16, 32, of any float type.
    ///
    /// # Panics
    ///
    /// Where a shape, a class or a picture's number in `targets` is out of range.
    pub fn compute(&self, raw: &[Tensor; 3], targets: &Targets) -> LossOutput {
        let predictions = Predictions::of(raw, self.classes);
        let assigned = no_grad(|| self.assign(&predictions, targets));
        let items = self.items(&predictions, assigned.as_ref());
        let total = items.sum(Kind::Float) * raw[0].size()[0];
        LossOutput { total, items: items.detach() }
    }

    /// `[3]`: box, class and DFL loss, with gains.
    fn items(&self, predictions: &Predictions, assigned: Option<&Assigned>) -> Tensor {
        let device = predictions.points.device();
        let weights = self.class_weights.as_ref().map(|w| Tensor::from_slice(w).to_device(device));
        let logits = &predictions.class_logits;
        let cls_loss = class::class_loss(logits, assigned.map(Assigned::classes), weights.as_ref());
        let (box_loss, dfl_loss, norm) = match assigned {
            Some(assigned) => {
                let (box_loss, dfl_loss) = box_losses(predictions, assigned);
                (box_loss, dfl_loss, assigned.scores.sum(Kind::Float).clamp_min(1))
            }
            None => (cls_loss.zeros_like(), cls_loss.zeros_like(), cls_loss.ones_like()),
        };
        let Gains { box_loss: box_gain, cls_loss: cls_gain, dfl_loss: dfl_gain } = self.gains;
        Tensor::stack(
            &[
                box_loss / &norm * box_gain,
                cls_loss / &norm * cls_gain,
                dfl_loss / &norm * dfl_gain,
            ],
            0,
        )
    }

    /// Assigns picture by picture; `None` where the batch has no boxes.
    fn assign(&self, predictions: &Predictions, targets: &Targets) -> Option<Assigned> {
        let parts: Vec<_> = rows_by_picture(targets, predictions.box_logits.size()[0])
            .iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(picture, rows)| self.assign_picture(predictions, targets, picture, rows))
            .collect();
        (!parts.is_empty()).then(|| join(&parts))
    }

    fn assign_picture(
        &self,
        predictions: &Predictions,
        targets: &Targets,
        picture: usize,
        rows: &[i64],
    ) -> Assigned {
        let device = predictions.points.device();
        let rows = Tensor::from_slice(rows).to_device(device);
        let labels = targets.cls.index_select(0, &rows);
        let size = Tensor::from_slice(&predictions.size).to_device(device);
        let shares = targets.boxes.index_select(0, &rows).to_kind(Kind::Float);
        let truths = cxcywh_to_xyxy(&(shares * size));
        let scores = predictions.class_logits.get(picture as i64).sigmoid();
        let boxes = predictions.decode(picture as i64);
        let found = self.assigner.assign(&scores, &boxes, &predictions.points, &labels, &truths);
        Assigned {
            pictures: found.anchors.full_like(picture as i64),
            anchors: found.anchors,
            labels: labels.index_select(0, &found.boxes),
            boxes: truths.index_select(0, &found.boxes),
            scores: found.scores,
        }
    }
}

impl Assigned {
    /// What the class loss aims at; each place is there once.
    fn classes(&self) -> class::Sparse<'_> {
        class::Sparse {
            places: [&self.pictures, &self.anchors, &self.labels],
            values: &self.scores,
        }
    }
}

impl Predictions {
    fn of(raw: &[Tensor; 3], classes: i64) -> Self {
        let flat = raw.each_ref().map(|map| map.to_kind(Kind::Float).flatten(2, 3).transpose(1, 2));
        let joined = Tensor::cat(&flat, 1);
        let shapes = raw.each_ref().map(|map| (map.size()[2], map.size()[3]));
        let anchors = make_anchors(&shapes, &STRIDES, raw[0].device());
        let (height, width) = (shapes[0].0 * STRIDES[0], shapes[0].1 * STRIDES[0]);
        Self {
            box_logits: joined.narrow(2, 0, BOX_CHANNELS),
            class_logits: joined.narrow(2, BOX_CHANNELS, classes),
            points: anchors.pixels(),
            anchors,
            size: [width, height, width, height].map(|side| side as f32),
        }
    }

    /// Predicted corners of one picture in input pixels, `[A, 4]`.
    fn decode(&self, picture: i64) -> Tensor {
        let distances = dfl::expectation(&self.box_logits.get(picture).contiguous());
        corners(&self.anchors.points, &distances) * &self.anchors.strides
    }
}

/// Corners `[F, 4]` from points `[F, 2]` and distances to the left, top, right, bottom `[F, 4]`.
fn corners(points: &Tensor, distances: &Tensor) -> Tensor {
    let (before, after) = (distances.narrow(1, 0, 2), distances.narrow(1, 2, 2));
    Tensor::cat(&[points - before, points + after], 1)
}

/// Box and DFL loss summed over the assigned predictions, each weighted by its score.
fn box_losses(predictions: &Predictions, assigned: &Assigned) -> (Tensor, Tensor) {
    let places = [Some(&assigned.pictures), Some(&assigned.anchors)];
    let logits = predictions.box_logits.index(&places);
    let points = predictions.anchors.points.index_select(0, &assigned.anchors);
    let strides = predictions.anchors.strides.index_select(0, &assigned.anchors);
    let truths = &assigned.boxes / strides;
    let overlap = ciou(&corners(&points, &dfl::expectation(&logits)), &truths);
    let box_loss = ((-overlap + 1.) * &assigned.scores).sum(Kind::Float);
    let distances =
        Tensor::cat(&[&points - truths.narrow(1, 0, 2), truths.narrow(1, 2, 2) - &points], 1);
    let dfl_loss = (dfl::dfl(&logits, &distances) * &assigned.scores).sum(Kind::Float);
    (box_loss, dfl_loss)
}

/// Rows of `targets` by picture, in their order.
fn rows_by_picture(targets: &Targets, pictures: i64) -> Vec<Vec<i64>> {
    let mut rows = vec![Vec::new(); pictures as usize];
    let places = Vec::<i64>::try_from(&targets.batch_idx).expect("batch_idx is [n] of i64");
    for (row, picture) in places.into_iter().enumerate() {
        rows[picture as usize].push(row as i64);
    }
    rows
}

fn join(parts: &[Assigned]) -> Assigned {
    let cat = |field: fn(&Assigned) -> &Tensor| {
        Tensor::cat(&parts.iter().map(field).collect::<Vec<_>>(), 0)
    };
    Assigned {
        pictures: cat(|p| &p.pictures),
        anchors: cat(|p| &p.anchors),
        labels: cat(|p| &p.labels),
        boxes: cat(|p| &p.boxes),
        scores: cat(|p| &p.scores),
    }
}
