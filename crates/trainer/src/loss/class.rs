//! Class loss: binary cross-entropy of every class at every anchor point, and how classes weigh in
//! it.

use tch::{Reduction, Tensor};

/// Sum of the binary cross-entropies of `logits` against `targets` (probabilities), any one shape
/// `[..., nc]`; `weights` are `[nc]`.
pub fn class_loss(logits: &Tensor, targets: &Tensor, weights: Option<&Tensor>) -> Tensor {
    let unweighted = None::<&Tensor>;
    logits.binary_cross_entropy_with_logits(targets, weights, unweighted, Reduction::Sum)
}

/// Weights of the classes by their number of objects: `count^-power`, scaled so that the weights of
/// all objects have a mean of 1. A class without objects weighs 1. None where all weigh the same.
pub fn weights(counts: &[u64], power: f64) -> Option<Vec<f32>> {
    let objects: u64 = counts.iter().sum();
    if power == 0.0 || objects == 0 {
        return None;
    }
    let counts = counts.iter().map(|&count| count as f64);
    let raw = |count: f64| if count > 0.0 { libm::pow(count, -power) } else { 0.0 };
    let scale = objects as f64 / counts.clone().map(|count| count * raw(count)).sum::<f64>();
    let weight = |count: f64| if count > 0.0 { (raw(count) * scale) as f32 } else { 1.0 };
    Some(counts.map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_weigh_more_and_objects_one_on_average() {
        assert_eq!(weights(&[4, 1, 7], 0.0), None);
        assert_eq!(weights(&[0, 0], 1.0), None);
        assert_eq!(weights(&[30, 10, 0], 1.0), Some(vec![2.0 / 3.0, 2.0, 1.0]));
        let halved = weights(&[16, 4], 0.5).expect("weights");
        assert!((halved[1] / halved[0] - 2.0).abs() < 1e-6);
        assert!((16.0 * halved[0] + 4.0 * halved[1] - 20.0).abs() < 1e-4);
    }

    #[test]
    fn weights_multiply_the_loss_of_their_class() {
        let logits = Tensor::from_slice(&[0.5_f32, -1.0, 2.0, 0.0]).view([1, 2, 2]);
        let targets = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0]).view([1, 2, 2]);
        let of =
            |weights: Option<&Tensor>| class_loss(&logits, &targets, weights).double_value(&[]);
        let [first, second] =
            [[1.0_f32, 0.0], [0.0, 1.0]].map(|only| of(Some(&Tensor::from_slice(&only))));
        assert!((first + second - of(None)).abs() < 1e-6 && first > 0.0 && second > 0.0);
        let both = of(Some(&Tensor::from_slice(&[3.0_f32, 1.0])));
        assert!((both - 3.0 * first - second).abs() < 1e-5);
    }
}
