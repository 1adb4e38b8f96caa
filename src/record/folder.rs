//! The folder of one run: its name, its creation without races, and the names of the files in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use ybox_spec::config::Task;
use ybox_spec::dataset::is_image;
use ybox_spec::pictures;
use ybox_spec::record::Record;

use crate::ui::Explain;

/// Names of files in a run folder.
pub mod file {
    pub const RECORD: &str = "run.json";
    pub const START: &str = "start.json";
    pub const CONFIG: &str = "config.yaml";
    pub const MANIFEST: &str = "data.manifest";
    pub const EVENTS: &str = "events.jsonl";
    pub const RESULTS: &str = "results.csv";
    pub const STEPS: &str = "steps.chain";
    pub const METRICS: &str = "metrics.json";
    pub const PREDICTIONS: &str = "predictions.json";
    pub const GRAPH: &str = "model.onnx";
    pub const WEIGHTS: &str = "weights";
    pub const CHECKPOINT: &str = ybox_spec::checkpoint::FOLDER;
    pub const LABELS: &str = "labels";
    /// Made by `ybox report` from the others, at any time: no part of a record.
    pub const REPORT: &str = "report.html";
    /// Who signed the run, where it came from or was pushed: no part of a record either.
    pub const SIGNATURES: &str = "signatures.json";
}

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("`{name}` cannot be the name of a run folder")]
    Name { name: String },
    #[error("cannot make the run folder {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("another run is writing to {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} holds {}, which no recorded run made", path.display(), stranger.display())]
    Stranger { path: PathBuf, stranger: PathBuf },
}

impl Explain for FolderError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("give a name without `/`; the folder goes in project=".into())
            }
            Self::Create { .. } => None,
            Self::InUse { .. } => Some("wait for it, or choose another name=".into()),
            Self::Stranger { .. } => Some(
                "it would be taken for an output of this run: move it, or choose another name="
                    .into(),
            ),
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::InUse { .. } | Self::Stranger { .. } => 1,
            Self::Name { .. } | Self::Create { .. } => 2,
        }
    }
}

/// A folder that this process alone writes a run to, for as long as the value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Holds the lock that [`is_locked`] sees; the kernel drops it however the process ends.
    _lock: File,
}

impl RunFolder {
    /// Makes `parent/name`, or `name2`, `name3`, ... when that is taken. With `reuse` a taken one is
    /// cleared of what the run before wrote.
    pub fn create(
        parent: &Path,
        name: Option<&str>,
        reuse: bool,
        task: Task,
    ) -> Result<Self, FolderError> {
        let name = name.unwrap_or("exp");
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(FolderError::Name { name: name.into() });
        }
        fs::create_dir_all(parent).map_err(|e| create_error(parent, e))?;
        if reuse && parent.join(name).exists() {
            let folder = Self::lock(parent.join(name))?;
            folder.clear(task)?;
            return Ok(folder);
        }
        Self::lock(first_free(parent, name)?)
    }

    /// Goes on writing to the run in `path`, whose record, if it has one, and who signed that are no
    /// more.
    pub fn reopen(path: &Path) -> Result<Self, FolderError> {
        let folder = Self::lock(path.to_owned())?;
        for name in [file::RECORD, file::SIGNATURES] {
            remove(&path.join(name)).map_err(|e| create_error(path, e))?;
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it again, as far as nothing but what a run begins with is in it.
    pub fn abandon(&self) {
        let begun =
            [file::CONFIG, file::MANIFEST, file::START].map(|name| remove(&self.path.join(name)));
        // What cannot be removed does no harm: the next run takes another name.
        let _ =
            begun.into_iter().collect::<io::Result<()>>().and_then(|()| fs::remove_dir(&self.path));
    }

    fn lock(path: PathBuf) -> Result<Self, FolderError> {
        let handle = File::open(&path).map_err(|e| create_error(&path, e))?;
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, _lock: handle }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(FolderError::InUse { path }),
            Err(error) => Err(create_error(&path, error.into())),
        }
    }

    /// Takes out what the run before wrote.
    pub fn clear(&self, task: Task) -> Result<(), FolderError> {
        self.remove_old(task).map_err(|e| create_error(&self.path, e))?;
        let left = files_below(&self.path).map_err(|e| create_error(&self.path, e))?;
        match left.into_iter().find(|path| is_output(task, path)) {
            Some(stranger) => Err(FolderError::Stranger { path: self.path.clone(), stranger }),
            None => Ok(()),
        }
    }

    /// The record goes first: a folder without one claims nothing.
    fn remove_old(&self, task: Task) -> io::Result<()> {
        let recorded: Option<Record> = fs::read(self.path.join(file::RECORD))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        remove(&self.path.join(file::RECORD))?;
        if let Some(record) = recorded {
            for artifact in record.outputs.artifacts.iter().chain(&record.files) {
                if is_inside(&artifact.path) {
                    remove(&self.path.join(&artifact.path))?;
                }
            }
        }
        // What a run that failed leaves, unrecorded.
        remove_folder(&self.path.join(file::CHECKPOINT))?;
        for name in ["best.safetensors", "last.safetensors"] {
            remove(&self.path.join(file::WEIGHTS).join(name))?;
        }
        let named = [
            file::START,
            file::CONFIG,
            file::MANIFEST,
            file::EVENTS,
            file::RESULTS,
            file::STEPS,
            file::METRICS,
            file::GRAPH,
            file::REPORT,
            file::SIGNATURES,
        ];
        // In a prediction such a name is a picture of the user's.
        let drawn = pictures::all().filter(|_| task != Task::Predict);
        for name in named.into_iter().chain(drawn) {
            remove(&self.path.join(name))?;
        }
        Ok(())
    }
}

fn create_error(path: &Path, source: io::Error) -> FolderError {
    FolderError::Create { path: path.to_owned(), source }
}

/// Whether a recorded path stays below the folder: a record is not trusted to name what to delete
/// or to read elsewhere.
pub(super) fn is_inside(path: &str) -> bool {
    use std::path::Component;
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error)
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `mkdir` decides who gets a name, so that two runs started at once get two folders.
fn first_free(parent: &Path, name: &str) -> Result<PathBuf, FolderError> {
    for number in 1_u32.. {
        let path = match number {
            1 => parent.join(name),
            _ => parent.join(format!("{name}{number}")),
        };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(create_error(&path, error)),
        }
    }
    unreachable!("a folder cannot hold 2^32 runs")
}

/// Whether a run is writing to the folder now.
pub(super) fn is_locked(path: &Path) -> bool {
    let Ok(handle) = File::open(path) else { return false };
    flock(&handle, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Every file below `folder`, relative to it, sorted.
pub(super) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file of the run folder is a result, which the same run would produce again.
pub fn is_output(task: Task, path: &Path) -> bool {
    let ends = |ending| path.extension().is_some_and(|e| e == ending);
    let within = |folder| path.starts_with(folder);
    if is_temporary(path) {
        return false;
    }
    match task {
        Task::Train => {
            within(file::WEIGHTS) && ends("safetensors")
                || [file::RESULTS, file::STEPS, file::METRICS].iter().any(|f| path == Path::new(f))
        }
        Task::Val => [file::METRICS, file::PREDICTIONS].iter().any(|f| path == Path::new(f)),
        Task::Predict => {
            is_image(path)
                || within(file::LABELS) && ends("txt")
                || path == Path::new(file::PREDICTIONS)
        }
        Task::Export => path == Path::new(file::GRAPH),
    }
}

/// What a write that was cut off leaves.
pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map_or(&b""[..], |name| name.as_encoded_bytes());
    name.starts_with(b".") && name.ends_with(b".tmp")
}

/// Names of all pictures below the run folder, sorted.
pub fn pictures_below(folder: &Path) -> Vec<String> {
    let paths = files_below(folder).unwrap_or_default().into_iter();
    let pictures = paths.filter(|path| is_output(Task::Predict, path) && is_image(path));
    pictures.filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(parent: &Path, name: Option<&str>, reuse: bool) -> Result<RunFolder, FolderError> {
        RunFolder::create(parent, name, reuse, Task::Train)
    }

    #[test]
    fn numbers_taken_names() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("runs/train");
        let names: Vec<_> = (0..3)
            .map(|_| create(&parent, None, false).unwrap().path().file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["exp", "exp2", "exp3"]);
        assert!(create(&parent, Some("a"), false).unwrap().path().ends_with("a"));
        for bad in ["", "a/b", ".."] {
            assert!(matches!(create(&parent, Some(bad), false), Err(FolderError::Name { .. })));
        }
    }

    #[test]
    fn runs_started_at_once_get_folders_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = std::thread::scope(|scope| {
            let start = || create(dir.path(), None, false).unwrap().path().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut unique = paths.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), paths.len());
    }

    #[test]
    fn a_reused_folder_loses_its_record_and_keeps_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exp");
        fs::create_dir_all(path.join("weights")).unwrap();
        fs::create_dir_all(path.join("checkpoint")).unwrap();
        let names = ["run.json", "weights/best.safetensors", "checkpoint/x", "notes.txt"];
        for name in names.into_iter().chain(["signatures.json"]) {
            fs::write(path.join(name), "x").unwrap();
        }
        let folder = create(dir.path(), None, true).unwrap();
        assert_eq!(files_below(folder.path()).unwrap(), [PathBuf::from("notes.txt")]);
        assert!(matches!(create(dir.path(), None, true), Err(FolderError::InUse { .. })));
        assert!(is_locked(&path));
        drop(folder);
        assert!(!is_locked(&path));

        fs::write(path.join("weights/mine.safetensors"), "x").unwrap();
        assert!(matches!(create(dir.path(), None, true), Err(FolderError::Stranger { .. })));
    }

    #[test]
    fn a_run_that_goes_on_is_no_longer_what_was_signed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["run.json", "signatures.json", "config.yaml"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        RunFolder::reopen(dir.path()).unwrap();
        assert_eq!(files_below(dir.path()).unwrap(), [PathBuf::from("config.yaml")]);
    }

    #[test]
    fn a_recorded_path_stays_inside() {
        assert!(is_inside("weights/best.safetensors"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
