//! A replay that begins at the earliest checkpoint of the run: a run folder that stands where the
//! run stood then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use ybox_spec::config::Task;
use ybox_spec::pictures;
use ybox_spec::record::Beginning;
use ybox_spec::weights::{CHECKPOINT_KEY, metadata};

use super::Replay;
use crate::record::{RunFolder, file};
use crate::run::RunError;
use crate::ui::Failure;

/// What the trainer goes on from, beside the checkpoints.
const FILES: [&str; 6] =
    [file::START, file::CONFIG, file::MANIFEST, file::STEPS, file::RESULTS, pictures::TENSORBOARD];

/// Copies what the run left into a folder for the replay.
pub fn prepare(replay: &mut Replay, beginning: Beginning) -> Result<(), Failure> {
    let refuse = |reason: String| {
        let folder = replay.folder.clone();
        Failure::from(RunError::NotAgain { folder, verb: "replayed from a checkpoint", reason })
    };
    let earliest = earliest(&replay.folder).ok_or_else(|| refuse("it kept none".into()))?;
    let about: Option<Value> =
        metadata(&earliest, CHECKPOINT_KEY).map_err(|e| refuse(e.to_string()))?;
    let steps = about.and_then(|about| about["outputs"]["chain"]["count"].as_u64());
    replay.after = steps.ok_or_else(|| refuse(format!("{} is none", earliest.display())))?;
    let name = replay.order.launch.name.as_deref();
    let folder = RunFolder::create(&replay.order.parent, name, false, Task::Train)?;
    copy(&replay.folder, folder.path(), &earliest).map_err(|e| refuse(e.to_string()))?;
    replay.order.resumes = Some((folder.path().to_owned(), beginning));
    Ok(())
}

/// Names sort as checkpoints were made.
fn earliest(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.join(file::CHECKPOINT)).ok()?.flatten();
    let names = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().map_or(&b""[..], |name| name.as_encoded_bytes());
        name.starts_with(b"epoch") && name.ends_with(b".safetensors")
    });
    names.min()
}

fn copy(from: &Path, to: &Path, earliest: &Path) -> io::Result<()> {
    for name in FILES {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (weights, checkpoints) = (to.join(file::WEIGHTS), to.join(file::CHECKPOINT));
    fs::create_dir_all(&weights)?;
    fs::create_dir_all(&checkpoints)?;
    fs::copy(earliest, checkpoints.join(earliest.file_name().unwrap_or_default()))?;
    // The best weights of that time: beside the checkpoint, where better ones came later.
    for entry in fs::read_dir(from.join(file::CHECKPOINT))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"best-") {
            fs::copy(entry.path(), checkpoints.join(entry.file_name()))?;
        }
    }
    Ok(())
}
