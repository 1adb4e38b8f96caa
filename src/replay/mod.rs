//! Running a recorded run again, as far as asked, and comparing what comes of it step by step. How
//! a run is carried out is `run`'s, what makes two runs part is `diff`'s.

mod from_checkpoint;
mod order;
mod verdict;

use std::path::{Path, PathBuf};

pub use order::{Extent, Request, order, read};
pub use verdict::{Outcome, TOLERANCE, Verdict, compare};

/// An order that repeats a run.
#[derive(Debug)]
pub struct Replay {
    /// Of the run that is repeated.
    pub folder: PathBuf,
    pub order: crate::run::Order,
    pub extent: Extent,
    /// Steps that a checkpoint stands for: they are not computed again.
    pub after: u64,
}

impl Replay {
    /// The run that is repeated, seen from `directory`.
    pub fn name(&self, directory: &Path) -> String {
        self.folder.strip_prefix(directory).unwrap_or(&self.folder).display().to_string()
    }
}
