//! Class loss: binary cross-entropy of every class at every anchor point.

use tch::{Reduction, Tensor};

/// Sum of the binary cross-entropies of `logits` against `targets` (probabilities), any one shape.
pub fn class_loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    let unweighted = None::<Tensor>;
    logits.binary_cross_entropy_with_logits(
        targets,
        unweighted.as_ref(),
        unweighted.as_ref(),
        Reduction::Sum,
    )
}
