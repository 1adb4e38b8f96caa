//! What a trainer did on its own to keep a training healthy. When it does what is decided by its
//! step guard; `docs/stability.md` tells it to people.

use serde::{Deserialize, Serialize};

/// One act of the step guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervention {
    /// From 1.
    pub epoch: u32,
    /// Steps of the optimizer taken before.
    pub step: u64,
    pub cause: Cause,
    pub action: Action,
    /// Both in a sentence, with the numbers that led to it.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The loss was NaN or infinite.
    LossNotFinite,
    /// The loss was a number, its gradient was not.
    GradientNotFinite,
    /// Loss and gradient norm stood far above those of the steps before.
    Spike,
    /// Weights or running statistics were NaN or infinite.
    WeightsNotFinite,
    /// The moving average was NaN or infinite, the weights were not.
    AverageNotFinite,
    /// Losses of validation pictures were NaN or infinite, the weights were not.
    ValidationNotFinite,
}

impl Cause {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::LossNotFinite => "the loss is not finite",
            Self::GradientNotFinite => "the gradient is not finite",
            Self::Spike => "loss and gradient norm are far above the usual",
            Self::WeightsNotFinite => "the weights are not finite",
            Self::AverageNotFinite => "the moving average is not finite",
            Self::ValidationNotFinite => "the validation loss is not finite",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The batches of the step were left out.
    Skip,
    /// Back to the last healthy state, on with the next batches at half the learning rate.
    RollBack,
    /// The same, and attention on the safe path from now on.
    SafeAttention,
    /// What was not finite in the average was taken from the weights.
    MendAverage,
    /// The epoch counts as worse than all whose validation is finite.
    SetAside,
    /// Training ended with an error.
    Stop,
}

impl Action {
    /// Its name in events.
    pub fn code(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::RollBack => "roll-back",
            Self::SafeAttention => "safe-attention",
            Self::MendAverage => "mend-average",
            Self::SetAside => "set-aside",
            Self::Stop => "stop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_names_in_events() {
        use Action::{MendAverage, RollBack, SafeAttention, SetAside, Skip, Stop};
        for action in [Skip, RollBack, SafeAttention, MendAverage, SetAside, Stop] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.code());
        }
    }
}
