//! Whether a lock is that of a recipe and a packer, without the network; and if not, why.

use std::fmt;

use serde::Serialize;

use super::{Lock, Recipe};

/// A reason why a lock doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Stale {
    /// There is no lock file.
    NotLocked,
    /// The recipe was changed since.
    RecipeChanged,
    /// The image packer writes other bytes now.
    PackerChanged { locked: u32, current: u32 },
    /// The recipe names an input that the lock hasn't.
    InputMissing { name: String },
    /// The lock has an input that the recipe doesn't name.
    InputUnknown { name: String },
    /// The lock has another version, suite or file than the recipe asks for.
    InputDiffers { name: String, locked: String },
    /// The file holds the right inputs, but not as `ybox lock` writes them.
    NotSorted,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked => write!(f, "there is no lock yet"),
            Self::RecipeChanged => write!(f, "the recipe was changed since"),
            Self::PackerChanged { locked, current } => {
                write!(f, "it was made for packer revision {locked}; this ybox has {current}")
            }
            Self::InputMissing { name } => write!(f, "{name} is not locked"),
            Self::InputUnknown { name } => write!(f, "{name} is locked, but not in the recipe"),
            Self::InputDiffers { name, locked } => {
                write!(f, "{name} is locked as {locked}, which the recipe doesn't mean")
            }
            Self::NotSorted => write!(f, "its inputs are not sorted by name"),
        }
    }
}

impl Lock {
    /// Every reason why this is not a lock of `recipe` for the packer revision `packer`.
    pub fn stale(&self, recipe: &Recipe, packer: u32) -> Vec<Stale> {
        let mut reasons = Vec::new();
        if !self.fits(recipe) {
            reasons.push(Stale::RecipeChanged);
        }
        if self.packer != packer {
            reasons.push(Stale::PackerChanged { locked: self.packer, current: packer });
        }
        reasons.extend(self.stale_debs(recipe));
        reasons.extend(self.stale_wheels(recipe));
        reasons.extend(self.missing(recipe));
        let sorted = self.debs.is_sorted_by(|a, b| a.name < b.name)
            && self.wheels.is_sorted_by(|a, b| a.name < b.name);
        if !sorted {
            reasons.push(Stale::NotSorted);
        }
        reasons
    }

    fn stale_debs<'a>(&'a self, recipe: &'a Recipe) -> impl Iterator<Item = Stale> + 'a {
        self.debs.iter().filter(|pin| !recipe.base.accepts(pin)).map(|pin| {
            let known = recipe.base.packages.contains(&pin.name);
            misfit(known, &pin.name, format!("{} of {}", pin.version, pin.suite))
        })
    }

    fn stale_wheels<'a>(&'a self, recipe: &'a Recipe) -> impl Iterator<Item = Stale> + 'a {
        let accepted = |pin| recipe.wheels.iter().any(|wheel| wheel.accepts(pin));
        self.wheels.iter().filter(move |pin| !accepted(pin)).map(|pin| {
            let known = recipe.wheels.iter().any(|wheel| wheel.name == pin.name);
            misfit(known, &pin.name, pin.file.clone())
        })
    }

    fn missing<'a>(&'a self, recipe: &'a Recipe) -> impl Iterator<Item = Stale> + 'a {
        let debs = recipe.base.packages.iter();
        let debs = debs.filter(|name| !self.debs.iter().any(|pin| pin.name == **name));
        let wheels = recipe.wheels.iter().map(|wheel| &wheel.name);
        let wheels = wheels.filter(|name| !self.wheels.iter().any(|pin| pin.name == **name));
        debs.chain(wheels).map(|name| Stale::InputMissing { name: name.clone() })
    }
}

fn misfit(known: bool, name: &str, locked: String) -> Stale {
    match known {
        true => Stale::InputDiffers { name: name.into(), locked },
        false => Stale::InputUnknown { name: name.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn committed() -> (Recipe, Lock) {
        let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
        let lock = Lock::read(&docker.join("cpu.lock")).unwrap().unwrap();
        (Recipe::read(&docker.join("cpu.yaml")).unwrap(), lock)
    }

    fn sentences(lock: &Lock, recipe: &Recipe, packer: u32) -> Vec<String> {
        lock.stale(recipe, packer).iter().map(Stale::to_string).collect()
    }

    #[test]
    fn a_fitting_lock_has_no_reason() {
        let (recipe, lock) = committed();
        assert_eq!(lock.stale(&recipe, lock.packer), []);
    }

    #[test]
    fn every_misfit_is_told() {
        let (mut recipe, mut lock) = committed();
        recipe.wheels[0].version = "2.14.0".into();
        recipe.base.packages.push("zlib1g".into());
        recipe.base.packages.retain(|name| name != "libc6");
        lock.debs.reverse();
        insta::assert_snapshot!(sentences(&lock, &recipe, lock.packer + 1).join("\n"));
    }
}
