//! Task-aligned assignment (Feng et al., <https://arxiv.org/abs/2108.07755>): which predictions of
//! one picture answer for which box, and how strongly. Pictures are handled one by one, so memory
//! does not grow with the batch. Nothing here has a gradient.
//!
//! Dimensions: `A` anchor points, `M` boxes of the picture, `P` candidate pairs, `F` assigned
//! points.

use tch::{Kind, Tensor, no_grad};

use super::boxes::{ciou, cxcywh_to_xyxy};
use crate::roots;

/// An anchor point must lie further inside a box than this, in pixels.
const INSIDE: f64 = 1e-9;

/// Keeps the normalisation of the metric finite.
const EPS: f64 = 1e-9;

/// How small boxes get candidates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinSide {
    /// Boxes as they are; one that covers no anchor point stays without a prediction.
    Any,
    /// Shorter sides are stretched to this many pixels about the centre.
    Pixels(f64),
}

#[derive(Debug, Clone, Copy)]
pub struct Assigner {
    /// Predictions per box.
    pub topk: i64,
    /// Exponent of the class score in the metric.
    pub alpha: f64,
    /// Exponent of the overlap in the metric.
    pub beta: f64,
    pub min_side: MinSide,
}

impl Default for Assigner {
    fn default() -> Self {
        Self { topk: 10, alpha: 0.5, beta: 6., min_side: MinSide::Pixels(16.) }
    }
}

/// The predictions of one picture that answer for a box, in the order of their anchor points.
#[derive(Debug)]
pub struct Assignment {
    /// `[F]` i64: rows of the anchor points.
    pub anchors: Tensor,
    /// `[F]` i64: rows of the boxes that they answer for.
    pub boxes: Tensor,
    /// `[F]` f32: the score that the box's class should have there, 0 to 1.
    pub scores: Tensor,
}

/// What is known about every pair of a box and an anchor point, `[M, A]` each.
struct Pairs {
    metric: Tensor,
    overlap: Tensor,
}

impl Assigner {
    /// Assigns the predictions of one picture.
    ///
    /// `scores` `[A, nc]` are probabilities, `boxes` `[A, 4]` predicted corners, `points` `[A, 2]`
    /// anchor points, `labels` `[M]` i64 classes and `truths` `[M, 4]` corners of the boxes; all
    /// coordinates in pixels.
    pub fn assign(
        &self,
        scores: &Tensor,
        boxes: &Tensor,
        points: &Tensor,
        labels: &Tensor,
        truths: &Tensor,
    ) -> Assignment {
        no_grad(|| {
            let pairs = self.pairs(scores, boxes, points, labels, truths);
            let claims = settle(&self.best(&pairs.metric), &pairs.overlap);
            target_scores(&claims, &pairs)
        })
    }

    /// Metric and overlap where an anchor point is a candidate for a box, 0 elsewhere. Computed
    /// for candidates only: they are few, and the arithmetic of the overlap is wide.
    fn pairs(
        &self,
        scores: &Tensor,
        boxes: &Tensor,
        points: &Tensor,
        labels: &Tensor,
        truths: &Tensor,
    ) -> Pairs {
        let candidates = self.candidates(points, truths).nonzero();
        let (rows, columns) = (candidates.select(1, 0), candidates.select(1, 1));
        let overlap = ciou(&truths.index_select(0, &rows), &boxes.index_select(0, &columns));
        let overlap = overlap.clamp_min(0);
        let score = scores.index(&[Some(&columns), Some(&labels.index_select(0, &rows))]);
        let metric = roots::pow(&score, self.alpha) * roots::pow(&overlap, self.beta);
        let dense = |values: &Tensor| {
            let shape = [truths.size()[0], points.size()[0]];
            let zeros = Tensor::zeros(shape, (Kind::Float, points.device()));
            zeros.index_put(&[Some(&rows), Some(&columns)], values, false)
        };
        Pairs { metric: dense(&metric), overlap: dense(&overlap) }
    }

    /// `[M, A]`: whether the point lies inside the box.
    fn candidates(&self, points: &Tensor, truths: &Tensor) -> Tensor {
        let truths = match self.min_side {
            MinSide::Any => truths.shallow_clone(),
            MinSide::Pixels(side) => stretch(truths, side),
        };
        let after = points.unsqueeze(0) - truths.narrow(1, 0, 2).unsqueeze(1);
        let before = truths.narrow(1, 2, 2).unsqueeze(1) - points.unsqueeze(0);
        after.minimum(&before).amin([-1i64], false).gt(INSIDE)
    }

    /// `[M, A]`: the points with the highest metric of each box; of equal ones, the first. A point
    /// without any metric counts for nothing and is left out.
    fn best(&self, metric: &Tensor) -> Tensor {
        let k = self.topk.min(metric.size()[1]);
        let (top, _) = metric.topk(k, 1, true, true);
        let last = top.narrow(1, k - 1, 1);
        let above = metric.gt_tensor(&last);
        let tied = metric.eq_tensor(&last).logical_and(&metric.gt(0));
        let room = -above.sum_dim_intlist(1, true, Kind::Int64) + k;
        let first = tied.cumsum(1, Kind::Int64).le_tensor(&room);
        above.logical_or(&tied.logical_and(&first))
    }
}

/// Lengthens shorter sides to `side` about the centre. `[M, 4]`, corners.
fn stretch(boxes: &Tensor, side: f64) -> Tensor {
    let (low, high) = (boxes.narrow(1, 0, 2), boxes.narrow(1, 2, 2));
    let sides = &high - &low;
    let stretched = sides.where_self(&sides.ge(side), &sides.full_like(side));
    cxcywh_to_xyxy(&Tensor::cat(&[(low + high) / 2, stretched], 1))
}

/// Gives points that several boxes claim to the box that overlaps most there. `[M, A]`.
fn settle(claims: &Tensor, overlap: &Tensor) -> Tensor {
    let contested = claims.sum_dim_intlist(0, true, Kind::Int64).gt(1);
    let rows = Tensor::arange(claims.size()[0], (Kind::Int64, claims.device())).view([-1, 1]);
    let winner = rows.eq_tensor(&overlap.argmax(0, true));
    winner.where_self(&contested, claims)
}

/// The metric of the claimed pairs, scaled so that each box's best becomes its best overlap.
fn target_scores(claims: &Tensor, pairs: &Pairs) -> Assignment {
    let metric = &pairs.metric * claims;
    let best_overlap = (&pairs.overlap * claims).amax([1i64], true);
    let scale = best_overlap / (metric.amax([1i64], true) + EPS);
    let (claimed, row) = claims.to_kind(Kind::Int8).max_dim(0, false);
    let anchors = claimed.nonzero().squeeze_dim(1);
    let boxes = row.index_select(0, &anchors);
    let scores = (metric * scale).index(&[Some(&boxes), Some(&anchors)]);
    Assignment { anchors, boxes, scores }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::anchors::make_anchors;

    fn tensor(values: &[f32], width: i64) -> Tensor {
        Tensor::from_slice(values).view([-1, width])
    }

    /// Every prediction is the given box with score 0.5, on the 8x8 map of a 64x64 picture.
    fn assign(min_side: MinSide, predicted: [f32; 4], truths: &[f32]) -> Assignment {
        let points = make_anchors(&[(8, 8)], &[8], Device::Cpu).pixels();
        let scores = Tensor::full([64, 1], 0.5, (Kind::Float, Device::Cpu));
        let boxes = tensor(&predicted, 4).expand([64, 4], false);
        let labels = Tensor::zeros([truths.len() as i64 / 4], (Kind::Int64, Device::Cpu));
        let assigner = Assigner { min_side, ..Assigner::default() };
        assigner.assign(&scores, &boxes, &points, &labels, &tensor(truths, 4))
    }

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn of_equal_candidates_the_first_are_taken() {
        let whole = [0., 0., 64., 64.];
        let assignment = assign(MinSide::Any, whole, &whole);
        assert_eq!(numbers(&assignment.anchors), (0..10).collect::<Vec<_>>());
        assert!((assignment.scores.double_value(&[9]) - 1.).abs() < 1e-5);
    }

    #[test]
    fn a_box_between_points_gets_some_only_when_stretched() {
        let small = [5., 5., 11., 11.];
        assert!(numbers(&assign(MinSide::Any, small, &small).anchors).is_empty());
        assert_eq!(numbers(&assign(MinSide::Pixels(16.), small, &small).anchors), [0, 1, 8, 9]);
    }

    #[test]
    fn a_contested_point_goes_to_the_larger_overlap() {
        let assignment =
            assign(MinSide::Any, [0., 0., 16., 16.], &[0., 0., 24., 24., 0., 0., 17., 16.]);
        assert_eq!(numbers(&assignment.anchors), [0, 1, 2, 8, 9, 10, 16, 17, 18]);
        assert_eq!(numbers(&assignment.boxes), [1, 1, 0, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_prediction_that_misses_is_not_assigned() {
        let assignment = assign(MinSide::Any, [50., 50., 60., 60.], &[0., 0., 16., 16.]);
        assert!(numbers(&assignment.anchors).is_empty());
    }
}
