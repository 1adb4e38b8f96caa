//! Which runs there are under `runs/`, and finding one by its folder or its hash.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use ybox_spec::Digest;
use ybox_spec::config::Config;
use ybox_spec::events::{Event, standing};
use ybox_spec::record::{Record, Status};

use super::folder::{file, is_locked};
use crate::ui::Explain;

/// Folder of run folders, relative to the working directory.
const RUNS: &str = "runs";
/// That of replays, which have the hashes of what they repeat.
pub const REPLAYS: &str = "runs/replay";
/// Where runs lie that came from a registry.
pub const PULLED: &str = "runs/pulled";

/// Shorter prefixes of a hash are not looked up: they are likelier a folder's name misspelt.
const SHORTEST_PREFIX: usize = 6;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Completed,
    Interrupted,
    #[serde(rename = "out-of-time")]
    OutOfTime,
    Running,
    /// Neither running nor recorded: it failed, or was killed.
    Unfinished,
    /// There is a record, but it cannot be read.
    Damaged,
}

impl RunState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::OutOfTime => "out-of-time",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
            Self::Damaged => "damaged",
        }
    }
}

/// One line of `ybox runs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Relative to the working directory.
    pub folder: PathBuf,
    pub task: String,
    pub name: String,
    pub state: RunState,
    pub model: Option<String>,
    /// Epochs done, of a training.
    pub epochs: Option<u32>,
    /// Best mAP50-95 of a training, or that of a validation.
    #[serde(rename = "map50-95")]
    pub map: Option<f64>,
    pub run_hash: Option<Digest>,
    /// RFC 3339, UTC.
    pub started: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("there is no run {0}")]
    NotFound(String),
    #[error("{} has no record (run.json)", .0.display())]
    NoRecord(PathBuf),
    #[error("{prefix} begins the hashes of {} runs: {}", folders.len(), folders.join(", "))]
    Ambiguous { prefix: String, folders: Vec<String> },
}

impl Explain for FindError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound(_) => {
                "give a run folder, or six or more digits of a run hash; `ybox runs` lists those under ./runs"
            }
            Self::NoRecord(_) => "a run that failed or still goes on has none",
            Self::Ambiguous { .. } => "give more digits, or the folder",
        };
        Some(hint.into())
    }
}

/// The run folder that `name` means, which has a record: a path, or the beginning of a run hash.
pub fn find_run(directory: &Path, name: &str) -> Result<PathBuf, FindError> {
    let folder = find_folder(directory, name)?;
    match folder.join(file::RECORD).exists() {
        true => Ok(folder),
        false => Err(FindError::NoRecord(name.into())),
    }
}

/// The same; nothing where `name` means no run, so that it may be an image's.
pub fn find_run_or_none(directory: &Path, name: &str) -> Result<Option<PathBuf>, FindError> {
    match find_run(directory, name) {
        Err(FindError::NotFound(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// The run folder that `name` means, recorded or not.
pub fn find_folder(directory: &Path, name: &str) -> Result<PathBuf, FindError> {
    let folder = directory.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_hash = digits.len() >= SHORTEST_PREFIX && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash {
        return Err(FindError::NotFound(name.into()));
    }
    let mut found: Vec<_> = list_runs(directory)
        .into_iter()
        .filter(|run| run.run_hash.is_some_and(|hash| hash.hex().starts_with(digits)))
        .collect();
    let is_original =
        |run: &RunSummary| ![REPLAYS, PULLED].iter().any(|place| run.folder.starts_with(place));
    if found.iter().any(is_original) {
        found.retain(is_original);
    }
    match found.len() {
        0 => Err(FindError::NotFound(name.into())),
        1 => Ok(directory.join(found.remove(0).folder)),
        _ => Err(FindError::Ambiguous {
            prefix: name.into(),
            folders: found.iter().map(|run| run.folder.display().to_string()).collect(),
        }),
    }
}

/// The runs in `runs/*/*` of `directory`, by task, then by start, then by name.
pub fn list_runs(directory: &Path) -> Vec<RunSummary> {
    let mut runs: Vec<_> = folders(&directory.join(RUNS))
        .iter()
        .flat_map(|task| folders(task))
        .filter_map(|folder| summary(directory, &folder))
        .collect();
    runs.sort_by(|a, b| (&a.task, &a.started, &a.folder).cmp(&(&b.task, &b.started, &b.folder)));
    runs
}

/// Without hidden ones: a run that is being pulled lies in one.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let seen = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    seen.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// What a run folder says of itself; nothing of it is verified.
#[derive(Debug)]
pub struct Glance {
    pub state: RunState,
    pub config: Option<Config>,
    pub record: Option<Record>,
}

/// `None` for a folder that no run was started in.
pub fn glance(folder: &Path) -> Option<Glance> {
    let config = read_config(folder);
    let record_there = folder.join(file::RECORD).exists();
    if config.is_none() && !record_there {
        return None;
    }
    let record = read_record(folder);
    Some(Glance {
        state: state(folder, record_there, record.as_ref()),
        config: record.as_ref().map(|r| r.config.clone()).or(config),
        record,
    })
}

/// `None` for a folder that no run was started in.
fn summary(directory: &Path, folder: &Path) -> Option<RunSummary> {
    let Glance { state, config, record } = glance(folder)?;
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let (epochs, map) = progress(folder);
    Some(RunSummary {
        folder: folder.strip_prefix(directory).unwrap_or(folder).to_owned(),
        task: folder.parent().and_then(name).unwrap_or_default(),
        name: name(folder).unwrap_or_default(),
        state,
        model: config.map(|c| model(&c).to_owned()),
        epochs,
        map,
        run_hash: record.as_ref().map(|r| r.run_hash),
        started: record.map(|r| r.circumstances.started),
    })
}

fn read_record(folder: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(folder.join(file::RECORD)).ok()?).ok()
}

fn read_config(folder: &Path) -> Option<Config> {
    serde_yaml::from_str(&fs::read_to_string(folder.join(file::CONFIG)).ok()?).ok()
}

fn state(folder: &Path, record_there: bool, record: Option<&Record>) -> RunState {
    match record.map(|r| r.status) {
        Some(Status::Completed) => RunState::Completed,
        Some(Status::Interrupted) => RunState::Interrupted,
        Some(Status::OutOfTime) => RunState::OutOfTime,
        None if record_there => RunState::Damaged,
        None if is_locked(folder) => RunState::Running,
        None => RunState::Unfinished,
    }
}

fn model(config: &Config) -> &str {
    match config {
        Config::Train(c) => &c.model,
        Config::Val(c) => &c.model,
        Config::Predict(c) => &c.model,
        Config::Export(c) => &c.model,
    }
}

/// Epochs done and the best mAP50-95, from the event log.
fn progress(folder: &Path) -> (Option<u32>, Option<f64>) {
    let text = fs::read_to_string(folder.join(file::EVENTS)).unwrap_or_default();
    let (mut epochs, mut best, mut final_map) = (None, None::<f64>, None);
    for line in standing(&text) {
        match line.event {
            Event::Epoch(epoch) => {
                epochs = Some(epoch.epoch);
                best = Some(best.map_or(epoch.metrics.map, |b| b.max(epoch.metrics.map)));
            }
            Event::Metrics(metrics) => final_map = Some(metrics.map),
            _ => {}
        }
    }
    (epochs, best.or(final_map))
}
