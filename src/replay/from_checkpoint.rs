//! A replay that begins at the earliest checkpoint that the run kept: a run folder that stands where
//! the run stood then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::checkpoint;
use ybox_spec::config::Task;
use ybox_spec::pictures;
use ybox_spec::record::Beginning;

use super::Replay;
use crate::record::{RunFolder, file};
use crate::run::RunError;
use crate::ui::Failure;

/// What the trainer goes on from, beside the checkpoint and weights.
const FILES: [&str; 6] =
    [file::START, file::CONFIG, file::MANIFEST, file::STEPS, file::RESULTS, pictures::TENSORBOARD];

/// Copies what the run left into a folder for the replay.
pub fn prepare(replay: &mut Replay, beginning: Beginning) -> Result<(), Failure> {
    let run = replay.folder.clone();
    let refuse = |reason: String| {
        Failure::from(RunError::not_again(&run, "replayed from a checkpoint", reason))
    };
    let earliest = earliest(&run).ok_or_else(|| refuse("it kept none".into()))?;
    let steps = checkpoint::steps(&earliest).map_err(|e| refuse(e.to_string()))?;
    replay.after = steps.ok_or_else(|| refuse(format!("{} is none", earliest.display())))?;
    let name = replay.order.launch.name.as_deref();
    let folder = RunFolder::create(&replay.order.parent, name, false, Task::Train)?;
    copy(&run, folder.path(), &earliest).map_err(|e| refuse(e.to_string()))?;
    replay.order.resumes = Some((folder.path().to_owned(), beginning));
    Ok(())
}

fn earliest(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join(file::CHECKPOINT)).ok()?.flatten();
    let is_one = |path: &PathBuf| checkpoint::digits(&name(path)).is_some();
    entries.map(|entry| entry.path()).filter(is_one).min()
}

fn copy(from: &Path, to: &Path, earliest: &Path) -> io::Result<()> {
    for name in FILES {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let checkpoints = to.join(file::CHECKPOINT);
    fs::create_dir_all(&checkpoints)?;
    fs::copy(earliest, checkpoints.join(name(earliest)))?;
    // The best weights of that time: beside the checkpoint, where better ones came later.
    copy_those(&from.join(file::CHECKPOINT), &checkpoints, checkpoint::is_best)?;
    // Weights of epochs before it are results; the trainer removes those after it.
    copy_those(&from.join(file::WEIGHTS), &to.join(file::WEIGHTS), |name| name.starts_with("epoch"))
}

/// Copies the files of one folder into another by their names.
fn copy_those(from: &Path, to: &Path, which: fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if which(&name(&path)) {
            fs::copy(&path, to.join(name(&path)))?;
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
