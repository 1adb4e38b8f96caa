//! The policies of checkpointing: memory for time, never a bit.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which parts of the model keep only their inputs in training and run again in backward: less
/// memory for more time, and the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpointing {
    #[default]
    None,
    /// The layers of area attention.
    Attention,
    /// Every layer.
    Layer,
    /// Every layer, and each level of the head.
    #[serde(rename = "layer+head")]
    LayerHead,
}

impl Checkpointing {
    pub const ALL: [Self; 4] = [Self::None, Self::Attention, Self::Layer, Self::LayerHead];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Attention => "attention",
            Self::Layer => "layer",
            Self::LayerHead => "layer+head",
        }
    }
}

impl FromStr for Checkpointing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| format!("use one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What `checkpointing=` takes: a policy, or `auto` for the fastest one that fits into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AutoCheckpointing {
    Auto,
    Is(Checkpointing),
}

impl AutoCheckpointing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Is(policy) => policy.name(),
        }
    }
}

impl FromStr for AutoCheckpointing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Is).map_err(|reason| format!("{reason}, auto")),
        }
    }
}

impl TryFrom<String> for AutoCheckpointing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AutoCheckpointing> for String {
    fn from(checkpointing: AutoCheckpointing) -> Self {
        checkpointing.name().into()
    }
}
