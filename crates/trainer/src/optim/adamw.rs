//! AdamW (Loshchilov and Hutter, <https://arxiv.org/abs/1711.05101>):
//!
//! p = p * (1 - lr * decay); m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
//! p = p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

use tch::{Kind, Tensor};

use super::schedule::BETA2;
use super::{Parameter, Rates, gradient, named, zeros_beside};
use crate::roots;

const EPS: f64 = 1e-8;

#[derive(Debug)]
pub(super) struct AdamW {
    /// Steps taken, `[1]` i64: a tensor, so that it is saved like the rest.
    steps: Tensor,
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
}

/// What a step multiplies with, the same for all parameters.
struct Factors {
    beta1: f64,
    /// 1 - beta1^t
    correction1: f64,
    /// sqrt(1 - beta2^t)
    correction2: f64,
}

impl AdamW {
    pub(super) fn new(parameters: &[Parameter]) -> Self {
        Self {
            steps: Tensor::from_slice(&[0i64]),
            means: zeros_beside(parameters),
            squares: zeros_beside(parameters),
        }
    }

    pub(super) fn step(&mut self, parameters: &mut [Parameter], rates: &Rates) {
        let _ = self.steps.g_add_scalar_(1);
        let factors = Factors::at(self.steps.int64_value(&[0]), rates.momentum);
        let state = self.means.iter_mut().zip(&mut self.squares);
        for (parameter, (mean, square)) in parameters.iter_mut().zip(state) {
            if let Some(gradient) = gradient(parameter) {
                update(parameter, mean, square, &gradient, rates, &factors);
            }
        }
    }

    pub(super) fn state(&self, parameters: &[Parameter]) -> Vec<(String, Tensor)> {
        let mut state = vec![("step".to_owned(), self.steps.shallow_clone())];
        state.extend(named("exp_avg", parameters, &self.means));
        state.extend(named("exp_avg_sq", parameters, &self.squares));
        state
    }
}

impl Factors {
    fn at(step: i64, beta1: f64) -> Self {
        // libm's power is the same on every machine; the platform's need not be.
        let left = |beta: f64| 1. - libm::pow(beta, step as f64);
        Self { beta1, correction1: left(beta1), correction2: left(BETA2).sqrt() }
    }
}

fn update(
    parameter: &mut Parameter,
    mean: &mut Tensor,
    square: &mut Tensor,
    gradient: &Tensor,
    rates: &Rates,
    factors: &Factors,
) {
    let (lr, decay) = (rates.lr(parameter.group), rates.decay(parameter.group));
    let gradient = gradient.to_kind(Kind::Float);
    let _ = mean.lerp_(&gradient, 1. - factors.beta1);
    let _ = square.g_mul_scalar_(BETA2).g_add_(&(gradient.square() * (1. - BETA2)));
    let spread = (roots::sqrt(square) / factors.correction2).g_add_scalar_(EPS);
    let p = &mut parameter.tensor;
    let _ = p.g_mul_scalar_(1. - lr * decay);
    let _ = p.addcdiv_(&(&*mean * (-lr / factors.correction1)), &spread);
}
