//! Gradient clipping by the L2 norm of all gradients together.

use tch::{Tensor, no_grad};

/// Keeps the division by the norm finite.
const EPS: f64 = 1e-6;

/// Scales `gradients` down, in place, so that their joint L2 norm is at most `max_norm`; returns
/// the norm before. Where that is not finite the gradients stay as they are: whether such a step
/// is taken is the caller's decision.
///
/// The norm is that of the tensors' own norms in the given order, so the order is part of the
/// result's bits.
pub fn clip_norm(gradients: &mut [Tensor], max_norm: f64) -> f32 {
    no_grad(|| {
        let norms: Vec<_> = gradients.iter().map(Tensor::norm).collect();
        if norms.is_empty() {
            return 0.;
        }
        let norm = Tensor::stack(&norms, 0).norm().double_value(&[]);
        let share = max_norm / (norm + EPS);
        if norm.is_finite() && share < 1. {
            for gradient in gradients {
                let _ = gradient.g_mul_scalar_(share);
            }
        }
        norm as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped(values: [f32; 3], max_norm: f64) -> (f32, Vec<f32>) {
        let mut gradients = [Tensor::from_slice(&values[..2]), Tensor::from_slice(&values[2..])];
        let norm = clip_norm(&mut gradients, max_norm);
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
        assert_eq!(clip_norm(&mut [], 1.), 0.);
    }
}
