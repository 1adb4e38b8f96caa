//! Distribution focal loss (Li et al., <https://arxiv.org/abs/2006.04388>): a box side is a
//! distribution over integer distances. Where the distances are measured from is left to others.

use tch::{Kind, Tensor};

use crate::model::DFL_BINS as BINS;

/// Targets stay this far below the last distance, so that both their neighbours exist.
const MARGIN: f64 = 0.01;

/// Expected distances `[F, 4]` in cells, from logits `[F, 4 * 16]`, side by side.
pub fn expectation(logits: &Tensor) -> Tensor {
    let shares = logits.view([-1, 4, BINS]).softmax(-1, Kind::Float);
    (shares * bins(logits)).sum_dim_intlist(-1, false, None)
}

/// Cross-entropy against the two integers next to each target distance, weighted by how near they
/// are; the mean of the four sides.
///
/// `logits` `[F, 4 * 16]`, `distances` `[F, 4]` in cells; returns `[F]`.
pub fn dfl(logits: &Tensor, distances: &Tensor) -> Tensor {
    let target = distances.clamp(0., (BINS - 1) as f64 - MARGIN);
    // The weights of both neighbours in one hat function: no gather, so no scatter in backward.
    let nearness = (-(bins(logits) - target.unsqueeze(-1)).abs() + 1.).clamp_min(0);
    let log_shares = logits.view([-1, 4, BINS]).log_softmax(-1, Kind::Float);
    -(log_shares * nearness).sum_dim_intlist(-1, false, None).mean_dim(-1, false, None)
}

fn bins(like: &Tensor) -> Tensor {
    Tensor::arange(BINS, (Kind::Float, like.device()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(seed: f64) -> Tensor {
        (Tensor::arange(64, (Kind::Float, tch::Device::Cpu)) * seed).sin().view([1, 64])
    }

    #[test]
    fn equals_the_weighted_cross_entropy_of_both_neighbours() {
        let logits = logits(1.7);
        let sides = [2.25f32, 0., 14., 99.];
        let log_p = Vec::<f32>::try_from(
            logits.view([4, BINS]).log_softmax(-1, Kind::Float).flatten(0, -1),
        )
        .unwrap();
        let p = |side: usize, bin: usize| f64::from(log_p[side * 16 + bin]);
        let expected = -(0.75 * p(0, 2)
            + 0.25 * p(0, 3)
            + p(1, 0)
            + p(2, 14)
            + 0.01 * p(3, 14)
            + 0.99 * p(3, 15))
            / 4.;
        let loss = dfl(&logits, &Tensor::from_slice(&sides).view([1, 4])).double_value(&[0]);
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }

    #[test]
    fn an_even_distribution_expects_the_middle() {
        let expected = expectation(&Tensor::zeros([1, 64], (Kind::Float, tch::Device::Cpu)));
        assert!((expected.double_value(&[0, 3]) - 7.5).abs() < 1e-6);
    }
}
