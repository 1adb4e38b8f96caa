//! Scaling of the loss, for gradients that are computed in fp16: multiplied they stay above the
//! smallest number of that type, and the scale follows what stays below the largest one. (Mixed
//! Precision Training, <https://arxiv.org/abs/1710.03740>, section 3.2)

use serde::{Deserialize, Serialize};
use tch::Tensor;

const INITIAL: f64 = 65536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;

/// Steps in a row without an overflow after which a larger scale is tried.
const GROWTH_STEPS: u32 = 2000;

/// Below it no scale helps: gradients overflow by themselves.
const FLOOR: f64 = 1.0;

/// All that a scaler has to remember.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub scale: f64,
    /// Steps since the scale last changed.
    pub good_steps: u32,
}

/// The scale is a power of two, so scaling changes no bit of a mantissa.
#[derive(Debug)]
pub struct GradScaler(State);

impl Default for GradScaler {
    fn default() -> Self {
        Self(State { scale: INITIAL, good_steps: 0 })
    }
}

impl GradScaler {
    pub fn state(&self) -> State {
        self.0
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn load_state(&mut self, state: State) {
        self.0 = state;
    }

    /// What to call `backward` on instead of `loss`.
    pub fn scaled(&self, loss: &Tensor) -> Tensor {
        loss * self.0.scale
    }

    /// What scaled gradients are multiplied with to be those of the loss.
    pub fn inverse(&self) -> f64 {
        1.0 / self.0.scale
    }

    /// A step was taken; tries a larger scale now and then.
    pub fn grow(&mut self) {
        self.0.good_steps += 1;
        if self.0.good_steps == GROWTH_STEPS {
            self.0 = State { scale: self.0.scale * GROWTH, good_steps: 0 };
        }
    }

    /// A gradient has overflowed: a smaller scale for the next step. None where it can't be smaller,
    /// so that the scale is not what is wrong.
    pub fn back_off(&mut self) -> Option<State> {
        let scale = self.0.scale * BACKOFF;
        if scale < FLOOR {
            return None;
        }
        self.0 = State { scale, good_steps: 0 };
        Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(scale: f64, good_steps: u32) -> GradScaler {
        GradScaler(State { scale, good_steps })
    }

    #[test]
    fn doubles_after_two_thousand_steps_without_an_overflow() {
        let mut scaler = GradScaler::default();
        (1..GROWTH_STEPS).for_each(|_| scaler.grow());
        assert_eq!(scaler.state(), State { scale: 65536.0, good_steps: 1999 });
        scaler.grow();
        assert_eq!(scaler.state(), State { scale: 131072.0, good_steps: 0 });
    }

    #[test]
    fn halves_with_an_overflow_and_counts_anew() {
        let mut scaler = at(65536.0, 1999);
        assert_eq!(scaler.back_off(), Some(State { scale: 32768.0, good_steps: 0 }));
        scaler.grow();
        assert_eq!(scaler.state(), State { scale: 32768.0, good_steps: 1 });
    }

    #[test]
    fn ends_at_one() {
        let mut scaler = GradScaler::default();
        let scales: Vec<f64> =
            std::iter::from_fn(|| scaler.back_off()).map(|state| state.scale).collect();
        assert_eq!((scales.len(), scales.last()), (16, Some(&1.0)));
        scaler.grow();
        assert_eq!(scaler.back_off(), None);
        assert_eq!(scaler.state(), State { scale: 1.0, good_steps: 1 });
    }

    #[test]
    fn what_is_scaled_comes_back_to_the_bit() {
        let loss = Tensor::from(0.1f32).set_requires_grad(true);
        let scaler = at(131072.0, 0);
        scaler.scaled(&loss).backward();
        assert_eq!(loss.grad() * scaler.inverse(), Tensor::from(1f32));
        let scaled = scaler.scaled(&loss).detach();
        assert_eq!(scaled * scaler.inverse(), loss.detach());
    }

    #[test]
    fn goes_on_from_a_state_that_was_written() {
        let mut scaler = at(512.0, 7);
        let written = serde_json::to_string(&scaler.state()).unwrap();
        assert_eq!(written, r#"{"scale":512.0,"good_steps":7}"#);
        let mut other = GradScaler::default();
        other.load_state(serde_json::from_str(&written).unwrap());
        assert_eq!(other.back_off(), scaler.back_off());
    }
}
