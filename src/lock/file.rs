//! `docker/<variant>.lock`: for every input its name, version, size and SHA-256, and where it is
//! found without naming a host. Written sorted, so that making it again changes nothing.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, canonical, files};

use super::{LockError, Recipe};
use crate::settings::yaml;

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

/// What a lock file opens with.
const HEADER: &str = "\
# Written by `ybox lock`: the exact inputs of the image. Change the recipe, not this file;
# `ybox lock --upgrade NAME` moves an input to its newest version.
";

impl Lock {
    /// Reads a lock file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockError::Io { path: path.into(), source }),
        }
    }

    /// Parses the text of the lock file at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let lock: Self =
            yaml::parse(text).map_err(|source| LockError::Content { path: path.into(), source })?;
        if lock.schema != LOCK_SCHEMA {
            return Err(LockError::Schema {
                path: path.into(),
                found: lock.schema,
                known: LOCK_SCHEMA,
            });
        }
        Ok(lock)
    }

    /// Hash of the content: what an image's label names.
    pub fn digest(&self) -> Digest {
        canonical::digest("ybox.lock.v1", self)
    }

    /// The file's text. The same lock always gives the same bytes.
    pub fn to_text(&self) -> String {
        let body = serde_yaml::to_string(self).expect("a lock holds only strings and numbers");
        format!("{HEADER}{body}")
    }

    /// Whether the file says exactly this, line endings aside.
    pub fn is_written(&self, path: &Path) -> bool {
        let found = std::fs::read_to_string(path);
        found.is_ok_and(|found| found.replace("\r\n", "\n") == self.to_text())
    }

    /// Writes the file unless it already says this; whether it was written.
    pub fn write(&self, path: &Path) -> Result<bool, LockError> {
        if self.is_written(path) {
            return Ok(false);
        }
        files::write_atomic(path, self.to_text().as_bytes())
            .map(|()| true)
            .map_err(|source| LockError::Io { path: path.into(), source })
    }

    /// Whether the lock was made from this content of the recipe.
    pub fn fits(&self, recipe: &Recipe) -> bool {
        self.recipe == recipe.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> (Recipe, String) {
        let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
        let recipe = Recipe::read(&docker.join("cpu.yaml")).unwrap();
        (recipe, std::fs::read_to_string(docker.join("cpu.lock")).unwrap())
    }

    #[test]
    fn the_committed_lock_fits_its_recipe_and_reads_and_writes_unchanged() {
        let (recipe, text) = committed();
        let lock = Lock::parse(&text, Path::new("cpu.lock")).unwrap();
        assert_eq!(lock.recipe, recipe.digest());
        assert_eq!(lock.to_text(), text);
    }

    #[test]
    fn line_endings_change_no_hash_and_force_no_writing() {
        let (recipe, text) = committed();
        let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
        let windows = std::fs::read_to_string(docker.join("cpu.yaml")).unwrap();
        let windows = windows.replace('\n', "\r\n");
        let same = Recipe::parse(&windows, Path::new("cpu.yaml")).unwrap();
        assert_eq!(same.digest(), recipe.digest());

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cpu.lock");
        std::fs::write(&path, text.replace('\n', "\r\n")).unwrap();
        let lock = Lock::read(&path).unwrap().unwrap();
        assert_eq!(lock, Lock::parse(&text, &path).unwrap());
        assert!(!lock.write(&path).unwrap());
    }

    #[test]
    fn names_no_host() {
        let (_, text) = committed();
        assert!(!text.contains("://"), "{text}");
    }
}
