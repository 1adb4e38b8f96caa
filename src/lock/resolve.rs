//! Makes a lock from a recipe. What an older lock pins stays as long as the recipe still means it;
//! only what is new, or is to be upgraded, is looked up.

use std::time::SystemTime;

use super::file::LOCK_SCHEMA;
use super::{Base, Lock, LockError, LockedDeb, LockedWheel, Recipe, Wheel, deb, wheel};
use crate::fetch::Fetcher;

/// Which pins of the older lock are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// Those of these inputs; of none, if empty.
    Only(Vec<String>),
    All,
}

impl Upgrade {
    fn gives_up(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::All => true,
        }
    }

    /// Every named input must be one of the recipe's.
    fn check(&self, recipe: &Recipe) -> Result<(), LockError> {
        let Self::Only(names) = self else { return Ok(()) };
        let known: Vec<&str> = recipe.input_names().collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                Err(LockError::NoInput { name: name.clone(), nearest: nearest(name, &known) })
            }
        }
    }
}

fn nearest(name: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(name, k), *k))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k.to_owned())
}

/// A lock, and what could not be checked about it.
#[derive(Debug, PartialEq)]
pub struct Resolution {
    pub lock: Lock,
    /// Kept Debian packages that the archive no longer has: whether what they depend on is there
    /// could not be checked.
    pub unchecked: Vec<String>,
}

/// The lock of `recipe` for the image packer of revision `packer`, at the time `now`. Asks the
/// network only for what the older lock doesn't tell.
pub async fn resolve(
    fetcher: &Fetcher,
    recipe: &Recipe,
    older: Option<&Lock>,
    upgrade: &Upgrade,
    packer: u32,
    now: SystemTime,
) -> Result<Resolution, LockError> {
    upgrade.check(recipe)?;
    let keep = |name: &str| !upgrade.gives_up(name);
    let debs = older.map_or(&[][..], |lock| &lock.debs);
    let debs: Vec<LockedDeb> =
        debs.iter().filter(|pin| keep(&pin.name) && recipe.base.accepts(pin)).cloned().collect();
    let wheels = older.map_or(&[][..], |lock| &lock.wheels);
    let wheels: Vec<LockedWheel> = wheels
        .iter()
        .filter(|pin| keep(&pin.name) && recipe.wheels.iter().any(|wheel| wheel.accepts(pin)))
        .cloned()
        .collect();
    let resolved = resolve_debs(fetcher, &recipe.base, debs, now).await?;
    let lock = Lock {
        schema: LOCK_SCHEMA.into(),
        recipe: recipe.digest(),
        packer,
        debs: resolved.debs,
        wheels: resolve_wheels(fetcher, &recipe.wheels, wheels).await?,
    };
    Ok(Resolution { lock, unchecked: resolved.unchecked })
}

async fn resolve_debs(
    fetcher: &Fetcher,
    base: &Base,
    mut kept: Vec<LockedDeb>,
    now: SystemTime,
) -> Result<deb::Resolved, LockError> {
    let is_kept = |name: &String| kept.iter().any(|pin| pin.name == *name);
    if base.packages.iter().all(is_kept) {
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(deb::Resolved { debs: kept, unchecked: vec![] });
    }
    Ok(deb::resolve(fetcher, base, &kept, now).await?)
}

async fn resolve_wheels(
    fetcher: &Fetcher,
    wheels: &[Wheel],
    mut locked: Vec<LockedWheel>,
) -> Result<Vec<LockedWheel>, LockError> {
    for wanted in wheels {
        if !locked.iter().any(|pin| pin.name == wanted.name) {
            locked.push(wheel::resolve(fetcher, wanted).await?);
        }
    }
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(locked)
}

impl Base {
    /// Whether a pin is a package that this base asks for.
    pub(super) fn accepts(&self, pin: &LockedDeb) -> bool {
        self.packages.contains(&pin.name)
            && self.suites.contains(&pin.suite)
            && deb::archive_of(self, &pin.suite) == pin.archive
            && (pin.architecture == self.architecture || pin.architecture == "all")
    }
}

impl Wheel {
    /// Whether a pin is the wheel that is meant.
    pub(super) fn accepts(&self, pin: &LockedWheel) -> bool {
        pin.name == self.name
            && pin.version == self.version
            && wheel::matches(&self.file, &pin.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_input_is_told() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/cpu.yaml");
        let recipe = Recipe::read(&path).unwrap();
        let error = Upgrade::Only(vec!["libc".into()]).check(&recipe).unwrap_err();
        assert_eq!(error.to_string(), "the recipe has no input `libc`: did you mean `libc6`?");
        assert!(Upgrade::Only(vec!["torch".into(), "libc6".into()]).check(&recipe).is_ok());
    }
}
