//! Why a recipe or a lock can't be read, or a recipe can't be locked.

use std::io;
use std::path::PathBuf;

use super::Stale;
use super::deb::{DebError, SignatureError};
use super::wheel::WheelError;
use crate::settings::yaml::YamlError;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("no project here: there is no docker/ folder with recipes")]
    NoProject,
    #[error("there is no variant `{variant}`: docker/ has {}", or_none(known))]
    NoVariant { variant: String, known: Vec<String> },
    #[error("the variant `{variant}` is not locked")]
    NotLocked { variant: String, how: Option<String> },
    #[error("the lock of `{variant}` does not fit: {}", sentences(reasons))]
    Stale { variant: String, reasons: Vec<Stale> },
    #[error("cannot read or write {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not valid")]
    Content { path: PathBuf, source: YamlError },
    #[error("{path} has the schema `{found}`; this ybox knows `{known}`")]
    Schema { path: PathBuf, found: String, known: &'static str },
    #[error("the recipe has no input `{name}`{}", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
    NoInput { name: String, nearest: Option<String> },
    #[error(transparent)]
    Deb(#[from] DebError),
    #[error(transparent)]
    Wheel(#[from] WheelError),
}

fn or_none(known: &[String]) -> String {
    if known.is_empty() { "no recipes".into() } else { known.join(", ") }
}

fn sentences(reasons: &[Stale]) -> String {
    reasons.iter().map(Stale::to_string).collect::<Vec<_>>().join("; ")
}

impl Explain for LockError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject => Some(
                "run it in the project's folder, or say where that is with --project DIR".into(),
            ),
            Self::NotLocked { how: Some(how), .. } => Some(how.clone()),
            Self::NotLocked { variant, .. } | Self::Stale { variant, .. } => {
                Some(format!("run ybox lock {variant}"))
            }
            Self::Deb(e) => e.hint(),
            Self::Wheel(e) => e.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Deb(e) => e.exit(),
            Self::Wheel(e) => e.exit(),
            Self::NotLocked { .. } | Self::Stale { .. } => 1,
            _ => 2,
        }
    }
}

impl Explain for DebError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(e) => e.hint(),
            Self::NoSuite { archive, .. } => Some(match archive.as_str() {
                "debian-security" => "set YBOX_DEB_SECURITY_MIRROR to a mirror that has it".into(),
                _ => "set YBOX_DEB_MIRROR to a mirror that has it".into(),
            }),
            Self::Signature { source: SignatureError::NoVerifier, .. } => {
                Some("install gpgv or sqv".into())
            }
            Self::Signature { .. } => Some(
                "if the suite is newer than this machine, install a current \
                 debian-archive-keyring, or set YBOX_DEB_KEYRING to that keyring's file"
                    .into(),
            ),
            Self::Release { .. } => {
                Some("set YBOX_DEB_MIRROR or YBOX_DEB_SECURITY_MIRROR to another mirror".into())
            }
            Self::Unmet(unmet) => Some(unmet_hint(unmet)),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Fetch(e) => e.exit(),
            Self::Index { .. } => 2,
            _ => 1,
        }
    }
}

/// Packages to add, and packages to upgrade.
fn unmet_hint(unmet: &[super::Unmet]) -> String {
    let names = |is_there: bool| {
        let mut names: Vec<&str> =
            unmet.iter().filter(|u| u.has.is_some() == is_there).map(|u| &u.needs[..]).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let mut steps = Vec::new();
    if let missing @ [_, ..] = &names(false)[..] {
        steps.push(format!("add {} to base.packages of the recipe", missing.join(", ")));
    }
    if let old @ [_, ..] = &names(true)[..] {
        let flags: Vec<String> = old.iter().map(|name| format!("--upgrade {name}")).collect();
        steps.push(format!("lock with {}", flags.join(" ")));
    }
    steps.join("; ")
}

impl Explain for WheelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(e) => e.hint(),
            Self::NoProject(_) => Some(
                "check the name in the recipe, or set YBOX_PYTHON_INDEX to an index that has it"
                    .into(),
            ),
            Self::NoVersion { version, .. } if version.contains('+') => Some(
                "a version with a `+` is in its makers' own index: set YBOX_PYTHON_EXTRA_INDEX, or \
                 pip's extra-index-url, to that"
                    .into(),
            ),
            Self::NoVersion { newest, .. } if !newest.is_empty() => {
                Some(format!("its last versions there are {}", newest.join(", ")))
            }
            Self::NoMatch { .. } | Self::Ambiguous { .. } => {
                Some("change the pattern `file` in the recipe so that it matches one".into())
            }
            Self::Yanked { .. } => Some("choose another version in the recipe".into()),
            Self::NoHash(_) | Self::NoSize(_) => {
                Some("set YBOX_PYTHON_INDEX to an index that tells it".into())
            }
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Fetch(e) => e.exit(),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Unmet;

    #[test]
    fn the_hint_tells_what_to_add_and_what_to_upgrade() {
        let unmet = |needs: &str, has: Option<&str>| Unmet {
            package: "a 1".into(),
            dependency: needs.into(),
            needs: needs.into(),
            has: has.map(Into::into),
        };
        let hint = unmet_hint(&[unmet("c", None), unmet("b", Some("1")), unmet("c", None)]);
        assert_eq!(hint, "add c to base.packages of the recipe; lock with --upgrade b");
    }
}
