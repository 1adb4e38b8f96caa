//! Arithmetic on boxes: conversions and the complete IoU. Boxes are fp32 tensors whose last
//! dimension holds the four numbers.

use std::f64::consts::PI;

use tch::{Tensor, no_grad};

/// Keeps the divisions of [`ciou`] finite. Part of its definition: it is added to heights, to the
/// union and to the squared diagonal.
const EPS: f64 = 1e-7;

/// Centre x, centre y, width, height to the corners x1, y1, x2, y2. `[..., 4]`.
pub fn cxcywh_to_xyxy(boxes: &Tensor) -> Tensor {
    let centre = boxes.narrow(-1, 0, 2);
    let half = boxes.narrow(-1, 2, 2) / 2;
    Tensor::cat(&[&centre - &half, &centre + &half], -1)
}

/// Complete IoU of boxes given by their corners (Zheng et al., <https://arxiv.org/abs/2005.03572>):
/// IoU - squared distance of the centres / squared diagonal of the hull - alpha * v, where v is
/// the difference in aspect ratio and alpha is taken as a constant by the gradient.
///
/// `a` and `b` are `[..., 4]` of shapes that broadcast; the result lacks the last dimension.
pub fn ciou(a: &Tensor, b: &Tensor) -> Tensor {
    let (a, b) = (Corners::of(a), Corners::of(b));
    let ((a_width, a_height), (b_width, b_height)) = (a.sides(), b.sides());
    let overlap = overlap(&a.x1, &a.x2, &b.x1, &b.x2) * self::overlap(&a.y1, &a.y2, &b.y1, &b.y2);
    let union = &a_width * &a_height + &b_width * &b_height - &overlap + EPS;
    let iou = overlap / union;

    let hull_width = a.x2.maximum(&b.x2) - a.x1.minimum(&b.x1);
    let hull_height = a.y2.maximum(&b.y2) - a.y1.minimum(&b.y1);
    let diagonal = hull_width.square() + hull_height.square() + EPS;
    let distance =
        ((&b.x1 + &b.x2 - &a.x1 - &a.x2).square() + (&b.y1 + &b.y2 - &a.y1 - &a.y2).square()) / 4;

    let v = (b_width.atan2(&b_height) - a_width.atan2(&a_height)).square() * (4. / PI / PI);
    let alpha = no_grad(|| &v / (&v - &iou + (1. + EPS)));
    iou - (distance / diagonal + v * alpha)
}

struct Corners {
    x1: Tensor,
    y1: Tensor,
    x2: Tensor,
    y2: Tensor,
}

impl Corners {
    fn of(boxes: &Tensor) -> Self {
        let corner = |i| boxes.select(-1, i);
        Self { x1: corner(0), y1: corner(1), x2: corner(2), y2: corner(3) }
    }

    fn sides(&self) -> (Tensor, Tensor) {
        (&self.x2 - &self.x1, &self.y2 - &self.y1 + EPS)
    }
}

fn overlap(a1: &Tensor, a2: &Tensor, b1: &Tensor, b2: &Tensor) -> Tensor {
    (a2.minimum(b2) - a1.maximum(b1)).clamp_min(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: [f32; 4], b: [f32; 4]) -> f64 {
        ciou(&Tensor::from_slice(&a), &Tensor::from_slice(&b)).double_value(&[])
    }

    #[test]
    fn equal_boxes_score_one() {
        assert!((of([1., 2., 5., 9.], [1., 2., 5., 9.]) - 1.).abs() < 1e-6);
    }

    #[test]
    fn equal_shapes_lose_only_by_overlap_and_distance() {
        // IoU 1/3, centres 2 apart, hull 6 by 4.
        let expected = 1. / 3. - 4. / (36. + 16.);
        assert!((of([0., 0., 4., 4.], [2., 0., 6., 4.]) - expected).abs() < 1e-6);
    }

    #[test]
    fn distant_boxes_score_below_zero() {
        assert!(of([0., 0., 1., 1.], [8., 8., 9., 9.]) < -0.5);
    }

    #[test]
    fn a_degenerate_box_has_a_finite_gradient() {
        let a = Tensor::from_slice(&[3f32, 3., 3., 3.]).set_requires_grad(true);
        let score = ciou(&a, &Tensor::from_slice(&[1f32, 1., 4., 4.]));
        score.backward();
        assert!(bool::try_from(a.grad().isfinite().all()).unwrap());
    }
}
