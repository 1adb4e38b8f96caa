//! Why two things can't be compared.

use std::io;
use std::path::PathBuf;

use super::Kind;
use crate::image::ImageError;
use crate::lock::LockError;
use crate::record::FindError;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    #[error("{} is {}, {} is {}: two of one kind can be compared", a.0, a.1.name(), b.0, b.1.name())]
    Kinds { a: (String, Kind), b: (String, Kind) },
    #[error("`{0}` is no run, image, lock or recipe")]
    Nothing(String),
    #[error("{0} is no run folder")]
    NoRun(String),
    #[error("{0} is neither a lock nor a recipe")]
    OtherFile(String),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Exit status 1 says that two things differ: whatever goes wrong before is 2.
impl Explain for DiffError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Nothing(_) => Some(
                "give a run folder, digits of a run hash, an image, a lock file or a recipe; `ybox \
                 runs` and `ybox images` list what there is"
                    .into(),
            ),
            Self::NoRun(_) => Some("`ybox runs` lists those under ./runs".into()),
            Self::Find(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Kinds { .. } | Self::OtherFile(_) | Self::Write { .. } => None,
        }
    }
}
