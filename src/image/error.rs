//! What can go wrong with images, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;

use super::input::InputError;
use super::misfit::Misfit;
use crate::ui::{Explain, is_disk_full};

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    #[error("the store's blob {0} is damaged")]
    Damaged(Digest, #[source] DamagedBlob),
    #[error("the store has no blob {0}")]
    MissingBlob(Digest),
    #[error("{what} is not what ybox can read: {why}")]
    Malformed { what: String, why: String },
    #[error("no image `{wanted}` in the store; it has {}", listed(.known))]
    NotFound { wanted: String, known: Vec<String> },
    #[error("`{wanted}` fits several images: {}", listed(.matches))]
    Ambiguous { wanted: String, matches: Vec<String> },
    #[error("`{0}` is not an image reference: expected a name like `ybox/cpu` or `ybox/cpu:tag`")]
    BadReference(String),
    #[error("image {image} has no file {path}")]
    NoFile { image: String, path: String },
    #[error("cannot use {input}")]
    Input { input: String, source: InputError },
    #[error("the lock has no {0}, which the recipe asks for")]
    NotLocked(String),
    #[error("the layers {lower} and {upper} both bring /{path}")]
    Shadowed { path: String, lower: String, upper: String },
    #[error("there is no trainer at {0}")]
    NoTrainer(PathBuf),
    #[error("there are no presets (*.yaml) in {0}")]
    NoPresets(PathBuf),
    #[error("ybox makes no images for the architecture `{0}`")]
    Architecture(String),
    #[error("the trainer and the libraries would not run together:{}", lines(.0))]
    Misfits(Vec<Misfit>),
}

/// Content that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its content hashes to {found}, not {expected}")]
pub struct DamagedBlob {
    pub expected: Digest,
    pub found: Digest,
}

impl ImageError {
    /// For `map_err`: an I/O error while `doing` something, e.g. `read the index of the store`.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| match source.get_ref().and_then(|e| e.downcast_ref::<DamagedBlob>()) {
            Some(damaged) => Self::Damaged(damaged.expected, damaged.clone()),
            None => Self::Io { doing, source },
        }
    }

    /// An input that could not be taken in because its scratch file in `folder` found no room is
    /// not to blame.
    pub(super) fn unpacking_in(self, folder: &Path) -> Self {
        match self {
            Self::Input { input, source: InputError::Unreadable(source) }
                if is_disk_full(Some(&*source)) =>
            {
                let doing = format!("unpack {input} in {}", folder.display());
                Self::Io { doing, source: io::Error::new(io::ErrorKind::StorageFull, source) }
            }
            other => other,
        }
    }

    /// Where a disk was full while something was read from one place and written to another, says
    /// what was being written.
    pub(super) fn writing(self, doing: impl FnOnce() -> String) -> Self {
        match self {
            Self::Io { source, .. } if is_disk_full(Some(&source)) => {
                Self::Io { doing: doing(), source }
            }
            other => other,
        }
    }

    pub(super) fn malformed(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Malformed { what: what.into(), why: why.to_string() }
    }
}

impl Explain for ImageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("make it with `ybox build VARIANT`".into()),
            Self::Ambiguous { .. } => Some("give more digits of the digest".into()),
            Self::Damaged(..) | Self::MissingBlob(_) => {
                Some("build the image again: `ybox build VARIANT` mends what is damaged".into())
            }
            Self::NotLocked(_) => Some("lock the recipe again: `ybox lock VARIANT`".into()),
            Self::NoTrainer(_) => Some(
                "build it with `cargo build --release -p ytrain`, or say where it is with \
                 --trainer PATH"
                    .into(),
            ),
            Self::Misfits(misfits) => Some(mend(misfits).into()),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Damaged(..) | Self::MissingBlob(_) | Self::Misfits(_) => 1,
            _ => 2,
        }
    }
}

fn mend(misfits: &[Misfit]) -> &'static str {
    let any = |wanted: fn(&Misfit) -> bool| misfits.iter().any(wanted);
    if any(|misfit| matches!(misfit, Misfit::Driver { .. })) {
        "leave it out of the recipe"
    } else if any(|misfit| matches!(misfit, Misfit::Version { .. })) {
        "build the trainer on a system that is no newer than the image's Debian, or name a newer \
         suite in the recipe and lock it again"
    } else {
        "add what is missing to the recipe and lock it again, or build the trainer for the image's \
         libraries (its run path has to lead to them)"
    }
}

fn lines(misfits: &[Misfit]) -> String {
    misfits.iter().map(|m| format!("\n  {m}")).collect()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
