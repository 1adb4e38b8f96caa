//! Stochastic gradient descent with Nesterov momentum:
//!
//! g = gradient + decay * p; b = momentum * b + g; p = p - lr * (g + momentum * b)
//!
//! Velocities start at zero, which makes the first one the first gradient.

use tch::Tensor;

use super::{Parameter, Rates, gradient, named, zeros_beside};

#[derive(Debug)]
pub(super) struct Sgd {
    velocities: Vec<Tensor>,
}

impl Sgd {
    pub(super) fn new(parameters: &[Parameter]) -> Self {
        Self { velocities: zeros_beside(parameters) }
    }

    pub(super) fn step(&mut self, parameters: &mut [Parameter], rates: &Rates) {
        for (parameter, velocity) in parameters.iter_mut().zip(&mut self.velocities) {
            if let Some(gradient) = gradient(parameter) {
                update(parameter, velocity, &gradient, rates);
            }
        }
    }

    pub(super) fn state(&self, parameters: &[Parameter]) -> Vec<(String, Tensor)> {
        named("momentum_buffer", parameters, &self.velocities)
    }
}

fn update(parameter: &mut Parameter, velocity: &mut Tensor, gradient: &Tensor, rates: &Rates) {
    let (lr, decay) = (rates.lr(parameter.group), rates.decay(parameter.group));
    let p = &mut parameter.tensor;
    let g = if decay == 0. { gradient.shallow_clone() } else { gradient + &*p * decay };
    let _ = velocity.g_mul_scalar_(rates.momentum).g_add_(&g);
    let _ = p.g_sub_(&((g + &*velocity * rates.momentum) * lr));
}
