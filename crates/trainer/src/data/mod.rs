//! From a hashed manifest to training batches and evaluation pictures: reading and checking files,
//! decoding, letterboxing, augmentation, threads. Plain bytes and numbers throughout;
//! tensors are the training loop's business.
//!
//! Whatever is drawn at random depends on the seed, the epoch and the sample alone, and everything
//! comes out in an order that does not depend on the number of threads.

mod annotations;
pub mod augment;
mod batching;
pub mod cache;
pub mod disk;
pub mod evaluation;
pub mod letterbox;
pub mod loader;
pub mod ordered;
pub mod random;
pub mod rect;
pub mod scan;
pub mod size;

use std::io;
use std::path::PathBuf;

pub use augment::Augmentation;
pub use evaluation::{Prepared, prediction, validation};
pub use letterbox::{Frame, Placement, letterbox};
pub use loader::{Batch, Batches, Loader, Target};
pub use scan::{Sample, ScanOptions, Split, scan, sources};
pub use size::Size;
pub use ybox_labels::{Code, Object, Polygon, Problem};
pub use ybox_picture::Picture;

/// Why a run cannot go on. What a run survives is a [`Problem`].
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has changed since it was hashed", path.display())]
    Changed { path: PathBuf },
    #[error("cannot decode {}: {source}", path.display())]
    Decode { path: PathBuf, source: ybox_picture::DecodeError },
    #[error(transparent)]
    Annotations(#[from] ybox_labels::AnnotationError),
    #[error("the `{split}` split has more than one COCO annotation file")]
    TwoAnnotations { split: String },
    #[error("no picture of the `{split}` split can be used ({} problems)", problems.len())]
    Empty { split: String, problems: Vec<Problem> },
    #[error("a loader thread failed: {reason}")]
    Worker { reason: String },
    #[error("cannot start a loader thread: {source}")]
    Thread { source: io::Error },
}

impl DataError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "file-unreadable",
            Self::Changed { .. } => "file-changed",
            Self::Decode { .. } => "picture-unreadable",
            Self::Annotations(_) | Self::TwoAnnotations { .. } => "annotations-unusable",
            Self::Empty { .. } => "split-empty",
            Self::Worker { .. } => "loader-failed",
            Self::Thread { .. } => "loader-not-started",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => Some("restore the file, or start a new run without it"),
            Self::Changed { .. } => {
                Some("restore the file, or start a new run, which hashes the data set afresh")
            }
            Self::Decode { .. } => Some("remove or replace the picture"),
            Self::Annotations(_) => Some("correct the annotation file"),
            Self::TwoAnnotations { .. } => Some("start the run with a data set made by ybox"),
            Self::Empty { .. } => Some("correct the reported files; one usable picture is enough"),
            Self::Thread { .. } => Some("lower `workers`"),
            Self::Worker { .. } => None,
        }
    }
}
