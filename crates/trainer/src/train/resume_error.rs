//! Why a training cannot go on from a checkpoint with the files of its run folder.

use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::chain::ChainError;

/// Why the files of a run are not those that a checkpoint goes with.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    #[error("cannot go on with {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("steps.chain has {found} of the {wanted} steps before it, or others")]
    Steps { found: u64, wanted: u64 },
    #[error("steps.chain: {0}")]
    Chain(#[from] ChainError),
    #[error("the best weights before it are gone")]
    Best,
}

impl ResumeError {
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
