//! Class loss: binary cross-entropy of every class at every anchor point, and how classes weigh in
//! it.

use tch::{Kind, Tensor};

/// The probabilities that are not 0, of `[N, A, nc]`.
#[derive(Debug, Clone, Copy)]
pub struct Sparse<'a> {
    /// Indices along the three dimensions, each `[F]` i64.
    pub places: [&'a Tensor; 3],
    /// `[F]` f32.
    pub values: &'a Tensor,
}

/// Sum of the binary cross-entropies of `logits` `[N, A, nc]` against `targets`; `weights` are
/// `[nc]`.
///
/// With x a logit and t its target the cross-entropy is softplus(x) - t x, of which the second part
/// is only there for the few targets that are not 0: no map of targets is made.
pub fn class_loss(logits: &Tensor, targets: Option<Sparse>, weights: Option<&Tensor>) -> Tensor {
    let softplus = logits.softplus();
    let background = match weights {
        Some(weights) => (softplus * weights).sum(Kind::Float),
        None => softplus.sum(Kind::Float),
    };
    let Some(Sparse { places, values }) = targets else { return background };
    let found = logits.index(&places.map(Some)) * values;
    let found = match weights {
        Some(weights) => found * weights.index_select(0, places[2]),
        None => found,
    };
    background - found.sum(Kind::Float)
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

    /// Two classes at two anchor points; the first class is at the first, with a score of 0.75.
    fn loss(weights: Option<[f32; 2]>) -> f64 {
        let logits = Tensor::from_slice(&[0.5_f32, -1.0, 2.0, 0.0]).view([1, 2, 2]);
        let zero = Tensor::from_slice(&[0_i64]);
        let values = Tensor::from_slice(&[0.75_f32]);
        let targets = Sparse { places: [&zero, &zero, &zero], values: &values };
        let weights = weights.map(|weights| Tensor::from_slice(&weights));
        class_loss(&logits, Some(targets), weights.as_ref()).double_value(&[])
    }

    #[test]
    fn is_the_binary_cross_entropy() {
        let entropy = |x: f64, t: f64| {
            let p = 1.0 / (1.0 + (-x).exp());
            -t * p.ln() - (1.0 - t) * (1.0 - p).ln()
        };
        let [first, second] =
            [entropy(0.5, 0.75) + entropy(2.0, 0.0), entropy(-1.0, 0.0) + entropy(0.0, 0.0)];
        assert!((loss(None) - first - second).abs() < 1e-6);
        assert!((loss(Some([3.0, 0.5])) - 3.0 * first - 0.5 * second).abs() < 1e-6);
    }
}
