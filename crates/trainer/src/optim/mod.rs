//! Optimizers and what steers them: schedules, clipping, loss scaling, the moving average of the
//! weights. All of it works on named tensors; which tensors a model has, and when a step is due, is
//! left to others.

mod adamw;
pub mod clip;
pub mod ema;
pub mod grad_scaler;
pub mod schedule;
mod sgd;
mod state;
#[cfg(test)]
mod tests;

use tch::{Kind, Tensor, no_grad};

use adamw::AdamW;
pub use ema::Ema;
pub use grad_scaler::GradScaler;
pub use schedule::{Algorithm, Effective, Rates, Schedule};
use sgd::Sgd;
pub use state::{StateError, restore};

/// What decides a parameter's learning rate and whether it decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Weights of convolutions and layer scales: they decay.
    Weights,
    /// Weights of normalisations.
    Norms,
    /// Biases; warmed up from a rate of their own.
    Biases,
}

/// A tensor to train. `tensor` shares its storage with the model.
#[derive(Debug)]
pub struct Parameter {
    pub name: String,
    pub tensor: Tensor,
    pub group: Group,
}

/// An optimizer with its state. Parameters without a gradient are passed over.
#[derive(Debug)]
pub struct Optimizer {
    parameters: Vec<Parameter>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Sgd(Sgd),
    AdamW(AdamW),
}

impl Optimizer {
    pub fn new(algorithm: Algorithm, parameters: Vec<Parameter>) -> Self {
        let method = match algorithm {
            Algorithm::Sgd => Method::Sgd(Sgd::new(&parameters)),
            Algorithm::AdamW => Method::AdamW(AdamW::new(&parameters)),
        };
        Self { parameters, method }
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Moves every parameter against its gradient.
    pub fn step(&mut self, rates: &Rates) {
        let parameters = &mut self.parameters;
        no_grad(|| match &mut self.method {
            Method::Sgd(sgd) => sgd.step(parameters, rates),
            Method::AdamW(adamw) => adamw.step(parameters, rates),
        });
    }

    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.tensor.zero_grad();
        }
    }

    /// The joint L2 norm of all gradients, a scalar on their device.
    pub fn gradient_norm(&self) -> Tensor {
        clip::joint_norm(&self.gradients())
    }

    /// Multiplies all gradients.
    pub fn scale_gradients(&mut self, factor: f64) {
        clip::scale(&mut self.gradients(), factor);
    }

    /// Scales all gradients, whose joint norm is `norm`, down to one of `max_norm`.
    pub fn clip_gradients(&mut self, norm: f32, max_norm: f64) {
        clip::clip(&mut self.gradients(), norm, max_norm);
    }

    fn gradients(&self) -> Vec<Tensor> {
        self.named_gradients().into_iter().map(|(_, gradient)| gradient).collect()
    }

    /// Gradients by the names of their parameters, where there are some; they share storage.
    pub fn named_gradients(&self) -> Vec<(String, Tensor)> {
        let named = |p: &Parameter| Some((p.name.clone(), gradient(p)?));
        self.parameters.iter().filter_map(named).collect()
    }

    /// Gives the parameters called `names` gradients of zero, as a step leaves them: one without a
    /// gradient is passed over by the next step, one with a gradient of zero still decays.
    pub fn zero_gradients_of(&mut self, names: &[String]) {
        let named = self.parameters.iter().filter(|p| names.contains(&p.name));
        named.for_each(|p| (&p.tensor * 0.).sum(Kind::Float).backward());
        self.zero_grad();
    }

    /// Puts `saved` in the place of the gradients.
    pub fn load_gradients(&mut self, saved: &[(String, Tensor)]) -> Result<(), StateError> {
        restore(self.named_gradients(), saved)
    }

    /// Everything that the next step depends on beside parameters and gradients. The tensors
    /// share the optimizer's storage.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        match &self.method {
            Method::Sgd(sgd) => sgd.state(&self.parameters),
            Method::AdamW(adamw) => adamw.state(&self.parameters),
        }
    }

    /// Goes on from what [`Self::state`] gave. On an error nothing has changed.
    pub fn load_state(&mut self, saved: &[(String, Tensor)]) -> Result<(), StateError> {
        state::restore(self.state(), saved)
    }
}

/// The gradient, where there is one.
fn gradient(parameter: &Parameter) -> Option<Tensor> {
    let gradient = parameter.tensor.grad();
    gradient.defined().then_some(gradient)
}

impl Rates {
    fn lr(&self, group: Group) -> f64 {
        self.lr[group as usize]
    }

    fn decay(&self, group: Group) -> f64 {
        if group == Group::Weights { self.weight_decay } else { 0. }
    }
}

/// A zero tensor beside each parameter.
fn zeros_beside(parameters: &[Parameter]) -> Vec<Tensor> {
    parameters.iter().map(|p| p.tensor.detach().zeros_like().to_kind(Kind::Float)).collect()
}

/// `prefix.<name>` for each parameter, with its tensor.
fn named(prefix: &str, parameters: &[Parameter], tensors: &[Tensor]) -> Vec<(String, Tensor)> {
    parameters
        .iter()
        .zip(tensors)
        .map(|(p, tensor)| (format!("{prefix}.{}", p.name), tensor.shallow_clone()))
        .collect()
}
