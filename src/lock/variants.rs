//! The variants of a project: `docker/<variant>.yaml` and, beside it, `docker/<variant>.lock`.

use std::path::{Path, PathBuf};

use super::{Lock, LockError, Recipe, Stale};

/// The folder of recipes and locks.
#[derive(Debug, Clone)]
pub struct Variants {
    folder: PathBuf,
}

impl Variants {
    /// Those of a project folder, if there is one.
    pub fn of(project: Option<&Path>) -> Result<Self, LockError> {
        project.map(|project| Self { folder: project.join("docker") }).ok_or(LockError::NoProject)
    }

    /// Every variant that has a recipe, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                entry.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    pub fn recipe(&self, variant: &str) -> Result<Recipe, LockError> {
        let known = self.names();
        if !known.iter().any(|name| name == variant) {
            return Err(LockError::NoVariant { variant: variant.into(), known });
        }
        Recipe::read(&self.folder.join(format!("{variant}.yaml")))
    }

    pub fn lock_path(&self, variant: &str) -> PathBuf {
        self.folder.join(format!("{variant}.lock"))
    }

    /// A variant's recipe and the lock that was made from it, but for differences that do not
    /// `matter` to what the lock is used for.
    ///
    /// # Errors
    /// When there is no such variant or lock, or the lock does not fit the recipe or `packer`, the
    /// revision of the image packer.
    pub fn fitting(
        &self,
        variant: &str,
        packer: u32,
        matters: impl Fn(&Stale) -> bool,
    ) -> Result<(Recipe, Lock), LockError> {
        let recipe = self.recipe(variant)?;
        let not_locked =
            || LockError::NotLocked { variant: variant.into(), how: recipe.unlocked.clone() };
        let lock = self.lock(variant)?.ok_or_else(not_locked)?;
        let mut reasons = lock.stale(&recipe, packer);
        reasons.retain(matters);
        if reasons.is_empty() {
            return Ok((recipe, lock));
        }
        Err(LockError::Stale { variant: variant.into(), reasons })
    }

    /// The lock of a variant, if there is one.
    pub fn lock(&self, variant: &str) -> Result<Option<Lock>, LockError> {
        Lock::read(&self.lock_path(variant))
    }
}
