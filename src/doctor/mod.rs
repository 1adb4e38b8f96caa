//! What may keep ybox from working here: small checks, each with what was found and, where something
//! is wrong, what that is and how to mend it. Nothing is changed.

mod gpu;
mod home;
mod inputs;
mod report;

use std::path::Path;

use serde::Serialize;

use crate::probe::Facts;
use crate::settings::Settings;

pub use report::{SCHEMA, human, json};

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Outcome {
    Well {
        found: String,
    },
    Ill {
        found: String,
        /// What is wrong with it.
        wrong: String,
        mend: String,
    },
    /// There is nothing to check.
    Skipped {
        reason: String,
    },
}

impl Check {
    fn well(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Well { found: found.into() } }
    }

    fn skipped(name: &'static str, reason: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Skipped { reason: reason.into() } }
    }

    fn ill(
        name: &'static str,
        found: impl Into<String>,
        wrong: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (found, wrong, mend) = (found.into(), wrong.into(), mend.into());
        Self { name, outcome: Outcome::Ill { found, wrong, mend } }
    }

    pub fn is_ill(&self) -> bool {
        matches!(self.outcome, Outcome::Ill { .. })
    }
}

/// All checks, in the order in which trouble is best mended. `data` is the YAML file of a data set.
pub fn examine(facts: &Facts, settings: &Settings, data: Option<&Path>) -> Vec<Check> {
    vec![
        gpu::driver(facts),
        gpu::toolkit(facts),
        gpu::reload(facts),
        home::engine(facts),
        home::space(&settings.home, gpu::has_any(facts)),
        home::clock(&settings.home),
        home::images(settings),
        inputs::locks(settings.project.as_deref()),
        inputs::indexes(&settings.downloads),
        inputs::data(data),
    ]
}
