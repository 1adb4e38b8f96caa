//! The file `steps.chain` while it grows, and as far as a checkpoint knows it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ybox_spec::chain::{ChainHead, Step, read_chain};
use ybox_spec::files::cut;

use super::resume_error::ResumeError;
use crate::error::TrainerError;

pub struct ChainFile {
    path: PathBuf,
    file: File,
    head: ChainHead,
}

/// The beginning of a chain file that has been checked.
pub struct Beginning {
    bytes: u64,
    head: ChainHead,
}

impl Beginning {
    /// Checks that the file at `path` begins with the steps of `head`.
    pub fn check(path: &Path, head: ChainHead) -> Result<Self, ResumeError> {
        let text = fs::read_to_string(path).map_err(ResumeError::reading(path))?;
        let lines = text.split_inclusive('\n').take(head.count as usize);
        let bytes = lines.map(str::len).sum::<usize>();
        match read_chain(&text[..bytes]) {
            Ok((_, found)) if found == head => Ok(Self { bytes: bytes as u64, head }),
            Ok((_, found)) => Err(ResumeError::Steps { found: found.count, wanted: head.count }),
            Err(error) => Err(error.into()),
        }
    }
}

impl ChainFile {
    pub fn create(path: PathBuf) -> Result<Self, TrainerError> {
        let file = File::create(&path).map_err(TrainerError::writing(&path))?;
        Ok(Self { file, path, head: ChainHead::default() })
    }

    /// Goes on after `beginning`; what comes after it is cut off.
    pub fn resume(path: PathBuf, beginning: Beginning) -> Result<Self, ResumeError> {
        let file = cut(&path, beginning.bytes).map_err(ResumeError::reading(&path))?;
        Ok(Self { file, head: beginning.head, path })
    }

    pub fn head(&self) -> ChainHead {
        self.head
    }

    pub fn append(&mut self, step: Step) -> Result<(), TrainerError> {
        let line = self.head.append(step) + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainerError::writing(&self.path))
    }

    pub fn sync(&self) -> Result<(), TrainerError> {
        self.file.sync_data().map_err(TrainerError::writing(&self.path))
    }

    /// Another handle of the file, to bring it to the disk with.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
