//! The folder of checkpoints: the two newest, each under a name that says its place and carries its
//! digest. They are written beside the training, which waits for a copy in memory only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ybox_spec::Digest;
use ybox_spec::checkpoint::{self, METADATA_KEY, best_name, short};
use ybox_spec::config::CheckpointEvery;
use ybox_spec::files::{copy_atomic, settle};
use ybox_spec::weights::metadata;

use super::{About, Checkpoint, CheckpointError};
use crate::emit::Emitter;

/// Checkpoints that stay.
const KEPT: usize = 2;
const TEMPORARY: &str = ".checkpoint.tmp";

pub struct Shelf {
    folder: PathBuf,
    every: CheckpointEvery,
    /// When the last one was begun, and after how many steps.
    last: (Instant, u64),
    writing: Option<JoinHandle<Result<(), CheckpointError>>>,
}

/// A checkpoint's file.
#[derive(Debug, Clone)]
pub struct Found {
    path: PathBuf,
    name: String,
    /// The first digits of its digest, as in its name.
    digits: String,
}

impl Shelf {
    /// `folder` is made when the first checkpoint is.
    pub fn new(folder: &Path, every: CheckpointEvery) -> Self {
        Self { folder: folder.to_owned(), every, last: (Instant::now(), 0), writing: None }
    }

    /// `steps` steps lie behind a training that goes on.
    pub fn begin_after(&mut self, steps: u64) {
        self.last.1 = steps;
    }

    pub fn takes_any(&self) -> bool {
        self.every != CheckpointEvery::Never
    }

    /// Whether a checkpoint should be kept after `steps` steps. Not while one is being written.
    pub fn is_due(&self, steps: u64) -> bool {
        let due = match self.every {
            CheckpointEvery::Never => false,
            CheckpointEvery::Steps(every) => steps.saturating_sub(self.last.1) >= every,
            CheckpointEvery::Time(every) => self.last.0.elapsed() >= every,
        };
        due && self.writing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Begins to write `checkpoint`. `best` is the file of the best weights so far; `growing` are
    /// files that it refers to and that have to be on the disk before it.
    pub fn keep(
        &mut self,
        checkpoint: Checkpoint,
        best: &Path,
        growing: Vec<File>,
        emit: &mut Emitter,
    ) {
        self.finish(emit);
        self.last = (Instant::now(), checkpoint.about.outputs.chain.count);
        let folder = self.folder.clone();
        let linked = fs::create_dir_all(&folder).and_then(|()| {
            let digest = checkpoint.about.outputs.best;
            digest.map_or(Ok(()), |digest| link(best, &folder.join(best_name(&digest))))
        });
        match linked {
            Ok(()) => {
                let write = move || write(&folder, &checkpoint, &growing);
                self.writing = Some(thread::spawn(write));
            }
            Err(error) => not_kept(&error, emit),
        }
    }

    /// Waits for the checkpoint that is being written, if there is one. Training goes on without:
    /// the one before stays.
    pub fn finish(&mut self, emit: &mut Emitter) {
        match self.writing.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => not_kept(&error, emit),
            Some(Err(_)) => not_kept("writing it panicked", emit),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Checkpoints, the newest first; none where there is no folder of them.
    pub fn found(&self) -> io::Result<Vec<Found>> {
        match found(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found,
        }
    }

    /// Where the best weights of the checkpoint that has `best` were kept.
    pub fn best(&self, best: &Digest) -> PathBuf {
        self.folder.join(best_name(best))
    }
}

fn not_kept(why: impl std::fmt::Display, emit: &mut Emitter) {
    emit.note("checkpoint-not-kept", format!("a checkpoint could not be kept: {why}"));
}

impl Found {
    /// `None` where `path` is not the name of a checkpoint.
    fn new(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let digits = checkpoint::digits(&name)?.to_owned();
        Some(Self { digits, name, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn read(&self) -> Result<Checkpoint, CheckpointError> {
        let bytes = fs::read(&self.path)?;
        let found = Digest::of(&bytes);
        if short(&found) != self.digits {
            return Err(CheckpointError::Digest { found });
        }
        Checkpoint::read(&bytes)
    }

    /// So that it is not taken for the newest again.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Sorts as it was made: numbers have leading zeros.
fn found(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut found: Vec<_> = entries.iter().filter_map(|e| Found::new(e.path())).collect();
    found.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(found)
}

fn write(folder: &Path, checkpoint: &Checkpoint, growing: &[File]) -> Result<(), CheckpointError> {
    for file in growing {
        file.sync_data()?;
    }
    let temporary = folder.join(TEMPORARY);
    checkpoint.write(&temporary)?;
    let (digest, _) = Digest::of_file(&temporary)?;
    let session = &checkpoint.about.session;
    let (epoch, batch) = (session.epoch + 1, session.sums.batches);
    let name = checkpoint::name(epoch, batch, &digest);
    settle(&temporary, &folder.join(name))?;
    Ok(prune(folder, checkpoint)?)
}

/// Leaves the newest checkpoints and the best weights that they go with.
fn prune(folder: &Path, newest: &Checkpoint) -> io::Result<()> {
    let found = found(folder)?;
    for old in found.iter().skip(KEPT) {
        fs::remove_file(&old.path)?;
    }
    let mut best: Vec<_> =
        newest.about.outputs.best.iter().map(|d| folder.join(best_name(d))).collect();
    for kept in found.iter().take(KEPT).skip(1) {
        let Ok(Some(about)) = metadata::<About>(&kept.path, METADATA_KEY) else { return Ok(()) };
        best.extend(about.outputs.best.map(|digest| folder.join(best_name(&digest))));
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if checkpoint::is_best(name) && !best.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Another name for a file that is replaced and never written to, or a copy where file systems
/// have one name for each.
fn link(file: &Path, name: &Path) -> io::Result<()> {
    if name.exists() {
        return Ok(());
    }
    fs::hard_link(file, name).or_else(|_| copy_atomic(file, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_is_not_there_holds_no_checkpoint() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("checkpoint");
        let found = || Shelf::new(&folder, CheckpointEvery::Never).found();
        assert!(found().unwrap().is_empty());
        fs::write(&folder, "in the way").unwrap();
        assert_eq!(found().unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
