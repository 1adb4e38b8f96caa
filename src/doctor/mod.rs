//! What may keep ybox from working here: small checks, each with what was found and, where something
//! is wrong, what that is and how to mend it. Nothing is changed.

mod gpu;
mod home;
mod inputs;
mod report;

use std::io;
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

/// What lets ybox read what it could not, by why not.
fn let_read(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("let it be read: as its owner, `chmod -R a+rX {path}`")
        }
        io::ErrorKind::NotFound => format!("put {path} back, or take out what names it"),
        _ => format!("see what the kernel's log (`dmesg`) says of the disk of {path}"),
    }
}

/// All checks, in the order in which trouble is best mended. `data` is the YAML file of a data set;
/// a `deep` check reads the stored images whole.
pub fn examine(facts: &Facts, settings: &Settings, data: Option<&Path>, deep: bool) -> Vec<Check> {
    vec![
        gpu::driver(facts),
        gpu::toolkit(facts),
        gpu::reload(facts),
        home::engine(facts),
        home::space(&settings.home, gpu::has_any(facts)),
        home::clock(&settings.home),
        home::images(&settings.home, deep),
        inputs::locks(settings.project.as_deref()),
        inputs::indexes(&settings.downloads),
        inputs::data(data),
    ]
}
