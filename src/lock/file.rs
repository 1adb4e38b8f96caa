//! `docker/<variant>.lock`: for every input its name, version, size and SHA-256, and where it is
//! found without naming a host. Written sorted, so that making it again changes nothing.

use serde::{Deserialize, Serialize};
use ybox_spec::Digest;

use super::Recipe;

pub const LOCK_SCHEMA: &str = "ybox.lock/v1";

/// A lock file: the recipe it was made from, and its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub schema: String,
    /// Hash of `recipe`'s file at the time of locking: tells a stale lock.
    pub recipe: Digest,
    /// Revision of the image packer that the lock was made for.
    pub packer: u32,
    /// Sorted by name.
    pub debs: Vec<LockedDeb>,
    /// Sorted by name.
    pub wheels: Vec<LockedWheel>,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub archive: String,
    pub suite: String,
    /// Path below the archive's root, e.g. `pool/main/g/glibc/libc6_2.41-12_amd64.deb`.
    pub path: String,
    pub size: u64,
    pub sha256: Digest,
}

/// A wheel of a Python package index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedWheel {
    pub name: String,
    pub version: String,
    pub file: String,
    pub size: u64,
    pub sha256: Digest,
}

impl Lock {
    /// Whether the lock was made from this content of the recipe.
    pub fn fits(&self, recipe: &Recipe) -> bool {
        self.recipe == recipe.digest()
    }
}
