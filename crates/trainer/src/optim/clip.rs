//! Gradient clipping by the L2 norm of all gradients together.

use tch::{Tensor, no_grad};

/// Keeps the division by the norm finite.
const EPS: f64 = 1e-6;

/// The joint L2 norm of `gradients`, a scalar on their device.
///
/// It is that of the tensors' own norms in the given order, so the order is part of the result's
/// bits.
pub fn joint_norm(gradients: &[Tensor]) -> Tensor {
    no_grad(|| {
        let norms: Vec<_> = gradients.iter().map(Tensor::norm).collect();
        match norms.is_empty() {
            true => Tensor::from(0f32),
            false => Tensor::stack(&norms, 0).norm(),
        }
    })
}

/// Scales `gradients`, whose joint norm is `norm`, down in place to one of at most `max_norm`.
/// Where the norm is not finite they stay as they are.
pub fn clip(gradients: &mut [Tensor], norm: f32, max_norm: f64) {
    let share = max_norm / (f64::from(norm) + EPS);
    if norm.is_finite() && share < 1. {
        scale(gradients, share);
    }
}

/// Multiplies `gradients` in place.
pub fn scale(gradients: &mut [Tensor], factor: f64) {
    no_grad(|| gradients.iter_mut().for_each(|gradient| drop(gradient.g_mul_scalar_(factor))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped(values: [f32; 3], max_norm: f64) -> (f32, Vec<f32>) {
        let mut gradients = [Tensor::from_slice(&values[..2]), Tensor::from_slice(&values[2..])];
        let norm = joint_norm(&gradients).double_value(&[]) as f32;
        clip(&mut gradients, norm, max_norm);
        (norm, Vec::try_from(Tensor::cat(&gradients, 0)).unwrap())
    }

    #[test]
    fn leaves_small_gradients_alone() {
        assert_eq!(clipped([2., 3., 6.], 10.), (7., vec![2., 3., 6.]));
    }

    #[test]
    fn scales_large_gradients_to_the_limit() {
        let (norm, values) = clipped([20., 30., 60.], 7.);
        assert_eq!(norm, 70.);
        for (value, expected) in values.iter().zip([2., 3., 6.]) {
            assert!((value - expected).abs() < 1e-5, "{value} {expected}");
        }
    }

    #[test]
    fn reports_an_infinite_norm_and_touches_nothing() {
        let (norm, values) = clipped([1., f32::INFINITY, 2.], 7.);
        assert_eq!((norm, values[0]), (f32::INFINITY, 1.));
    }

    #[test]
    fn nothing_has_no_norm() {
        assert_eq!(joint_norm(&[]).double_value(&[]), 0.);
    }
}
