//! What kind of thing is compared.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Run,
    Image,
    Lock,
    Recipe,
}

impl Kind {
    /// With its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "a run",
            Self::Image => "an image",
            Self::Lock => "a lock",
            Self::Recipe => "a recipe",
        }
    }
}
