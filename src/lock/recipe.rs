//! `docker/<variant>.yaml`: what goes into an image, by name and version.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, canonical};

use super::LockError;
use crate::settings::yaml;

pub const RECIPE_SCHEMA: &str = "ybox.recipe/v1";

/// A recipe as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub schema: String,
    pub variant: String,
    pub base: Base,
    #[serde(default)]
    pub wheels: Vec<Wheel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_ins: Option<StandIns>,
    pub trainer: TrainerBinary,
    pub presets: Presets,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub supports: Supports,
    /// What to do where there is no lock, if that takes more than `ybox lock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked: Option<String>,
}

/// Debian packages that make the file system everything else stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// `debian`.
    pub archive: String,
    /// Suites in the order of preference of equal versions, e.g. `trixie`, `trixie-security`.
    pub suites: Vec<String>,
    pub architecture: String,
    pub packages: Vec<String>,
    /// Globs of paths that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// Files taken from a Python wheel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    pub name: String,
    pub version: String,
    /// Globs that wheel file names must match, e.g. `*-cp311-cp311-manylinux_2_28_x86_64.whl`.
    pub file: String,
    /// Layer that the files go to.
    pub layer: String,
    pub files: Vec<Placement>,
}

/// Which files of an archive go where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Glob over the archive's paths.
    pub from: String,
    /// Absolute folder in the image; the file keeps its own name.
    pub to: String,
}

/// Libraries that are linked against but not called: ybox writes small ones in their place, which
/// end the process with a message when they are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIns {
    /// Layer of their own.
    pub layer: String,
    /// Absolute folder in the image.
    pub to: String,
    /// The recipe that has the libraries themselves.
    pub instead: String,
    pub libraries: Vec<StandIn>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// As others need it, e.g. `libcufft.so.12`.
    pub name: String,
    /// Glob of the functions' names, for those that are asked for without a version.
    pub symbols: String,
}

/// The trainer, built on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerBinary {
    /// Relative to the project.
    pub binary: String,
    /// Absolute path in the image.
    pub to: String,
}

/// Training presets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presets {
    /// Folder relative to the project; its `*.yaml` are taken.
    pub from: String,
    /// Absolute folder in the image.
    pub to: String,
}

/// Hardware that the contents can use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supports {
    /// Compute capabilities, e.g. `7.5`; empty for a CPU image.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Oldest driver version, e.g. `580.65.06`.
    #[serde(default)]
    pub driver: Option<String>,
}

impl Recipe {
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LockError::Io { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Parses the text of the recipe at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let recipe: Self =
            yaml::parse(text).map_err(|source| LockError::Content { path: path.into(), source })?;
        if recipe.schema != RECIPE_SCHEMA {
            return Err(LockError::Schema {
                path: path.into(),
                found: recipe.schema,
                known: RECIPE_SCHEMA,
            });
        }
        Ok(recipe)
    }

    /// Names of everything that is locked.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        let wheels = self.wheels.iter().map(|wheel| wheel.name.as_str());
        self.base.packages.iter().map(String::as_str).chain(wheels)
    }

    /// Hash of the content, whatever its layout or comments.
    pub fn digest(&self) -> Digest {
        canonical::digest("ybox.recipe.v1", self)
    }
}
