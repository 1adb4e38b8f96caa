//! Gradients in fp16: the loss is scaled before backward, and a step whose gradient overflows is left
//! out. That is how the scale is found, not a fault; the guard hears of it where no scale helps.

use tch::Tensor;

use super::care::Place;
use super::guard::Measured;
use super::session::Session;
use crate::emit::Emitter;
use crate::optim::grad_scaler::State;
use crate::optim::{GradScaler, Optimizer};

/// Adds the gradients of `loss`, scaled where they are computed in fp16, which is where there is a
/// scaler.
pub fn backward(scaler: Option<&GradScaler>, loss: &Tensor) {
    match scaler {
        Some(scaler) => scaler.scaled(loss).backward(),
        None => loss.backward(),
    }
}

/// Turns the gradients that have been added up into those of the loss itself.
pub fn unscale(scaler: Option<&GradScaler>, optimizer: &mut Optimizer) {
    if let Some(scaler) = scaler {
        optimizer.scale_gradients(scaler.inverse());
    }
}

impl Session {
    /// Goes on with a scale that was kept.
    pub(super) fn load_scale(&mut self, kept: Option<State>) {
        if let (Some(scaler), Some(state)) = (&mut self.scaler, kept) {
            scaler.load_state(state);
        }
    }

    /// Leaves a step out if its gradient overflowed because of the scale, which falls; says whether
    /// it did. A loss that is not finite itself has nothing to do with the scale.
    pub(super) fn overflows(&mut self, step: Measured, at: Place, emit: &mut Emitter) -> bool {
        let Some(scaler) = &mut self.scaler else { return false };
        if !step.loss.is_finite() || step.norm.is_finite() {
            return false;
        }
        let before = scaler.state().scale;
        let Some(now) = scaler.back_off() else { return false };
        let (epoch, step) = (at.epoch + 1, at.step);
        let what = format!("the gradient overflows with a loss scale of {before}");
        let then = format!("the step is left out, the next ones have {}", now.scale);
        emit.note("loss-scale", format!("epoch {epoch}, after step {step}: {what}; {then}"));
        self.leave_out();
        true
    }
}
