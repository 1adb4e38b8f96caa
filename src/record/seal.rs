//! Writing the record: config and manifest before the container starts, and when it has ended
//! everything that it left, hashed and sealed in `run.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::chain::{ChainError, ChainHead, read_chain};
use ybox_spec::config::{Config, Task};
use ybox_spec::events::{Event, LogError, LogHead, read_log, standing};
use ybox_spec::files::write_atomic;
use ybox_spec::intervention::Intervention;
use ybox_spec::manifest::Manifest;
use ybox_spec::record::{
    Artifact, Beginning, Circumstances, Inputs, Outputs, Record, SCHEMA, Status,
};

use super::folder::{file, files_below, is_output, is_temporary};
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the trainer finished without writing {path}")]
    MissingOutput { path: &'static str },
    #[error("the trainer's event log is broken")]
    Events(#[source] LogError),
    #[error("the trainer's metric chain is broken")]
    Steps(#[source] ChainError),
    #[error("the file name {path:?} is not UTF-8")]
    Name { path: PathBuf },
}

impl Explain for SealError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Write { .. } => None,
            Self::MissingOutput { .. } => {
                Some("the image's trainer does not fit this ybox: build the image again".into())
            }
            _ => Some("is something else writing to the run folder? Run again".into()),
        }
    }
}

/// What a record says beyond the run folder's content.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub status: Status,
    pub inputs: Inputs,
    pub config: Config,
    pub circumstances: Circumstances,
}

/// Writes `config.yaml`.
pub fn write_config(folder: &Path, config: &Config) -> Result<(), SealError> {
    let text = serde_yaml::to_string(config).expect("a config is plain data");
    write(&folder.join(file::CONFIG), text.as_bytes())
}

/// Writes `data.manifest`.
pub fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), SealError> {
    write(&folder.join(file::MANIFEST), manifest.to_string().as_bytes())
}

/// Writes `start.json`.
pub fn write_beginning(folder: &Path, beginning: &Beginning) -> Result<(), SealError> {
    let text = serde_json::to_string_pretty(beginning).expect("plain data") + "\n";
    write(&folder.join(file::START), text.as_bytes())
}

/// Hashes what the folder holds and writes `run.json`.
pub fn seal(folder: &Path, sealed: Sealed) -> Result<Record, SealError> {
    let task = sealed.config.task();
    if sealed.status == Status::Completed {
        require_outputs(folder, task)?;
    }
    let (artifacts, files) = artifacts(folder, task)?;
    let (events, interventions) = events(folder)?;
    let unset = Digest::of(b"");
    let record = Record {
        schema: SCHEMA.into(),
        status: sealed.status,
        inputs: sealed.inputs,
        outputs: Outputs { artifacts, steps: steps(folder)? },
        input_hash: unset,
        result_hash: unset,
        run_hash: unset,
        config: sealed.config,
        events,
        interventions,
        files,
        circumstances: sealed.circumstances,
        record_hash: None,
    }
    .seal();
    write(&folder.join(file::RECORD), record.to_json().as_bytes())?;
    Ok(record)
}

fn require_outputs(folder: &Path, task: Task) -> Result<(), SealError> {
    let required: &[&'static str] = match task {
        Task::Train => {
            &["weights/best.safetensors", "weights/last.safetensors", file::RESULTS, file::STEPS]
        }
        Task::Val => &[file::METRICS],
        Task::Predict => &[],
        Task::Export => &[file::GRAPH],
    };
    match required.iter().find(|path| !folder.join(path).is_file()) {
        Some(path) => Err(SealError::MissingOutput { path }),
        None => Ok(()),
    }
}

/// Results and other files, each sorted by path.
fn artifacts(folder: &Path, task: Task) -> Result<(Vec<Artifact>, Vec<Artifact>), SealError> {
    let read = |path: &Path, source| SealError::Read { path: path.to_owned(), source };
    let paths = files_below(folder).map_err(|e| read(folder, e))?;
    let (mut results, mut others) = (Vec::new(), Vec::new());
    for path in paths {
        let unrecorded = [file::RECORD, file::REPORT, file::SIGNATURES];
        if unrecorded.iter().any(|name| path == Path::new(name)) || is_temporary(&path) {
            continue;
        }
        let place = folder.join(&path);
        let (sha256, size) = Digest::of_file(&place).map_err(|e| read(&place, e))?;
        let name = path.to_str().ok_or_else(|| SealError::Name { path: path.clone() })?;
        let artifact = Artifact { path: name.to_owned(), size, sha256 };
        match is_output(task, &path) {
            true => results.push(artifact),
            false => others.push(artifact),
        }
    }
    // By the bytes of the whole path, which is not the order of folders.
    results.sort_by(|a, b| a.path.cmp(&b.path));
    others.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((results, others))
}

fn steps(folder: &Path) -> Result<Option<ChainHead>, SealError> {
    let path = folder.join(file::STEPS);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| SealError::Read { path, source })?;
    read_chain(&text).map(|(_, head)| Some(head)).map_err(SealError::Steps)
}

fn events(folder: &Path) -> Result<(LogHead, Vec<Intervention>), SealError> {
    let path = folder.join(file::EVENTS);
    let text = fs::read_to_string(&path).map_err(|source| SealError::Read { path, source })?;
    let (_, head) = read_log(&text).map_err(SealError::Events)?;
    let interventions = standing(&text).into_iter().filter_map(|line| match line.event {
        Event::Intervention(intervention) => Some(intervention),
        _ => None,
    });
    Ok((head, interventions.collect()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SealError> {
    write_atomic(path, bytes).map_err(|source| SealError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_results_from_other_files() {
        let outputs = |task| {
            [
                "weights/best.safetensors",
                "results.csv",
                "steps.chain",
                "metrics.json",
                "predictions.json",
                "a.jpg",
                "crops/cat/a.jpg",
                "labels/a.txt",
                "events.jsonl",
                "notes.txt",
                ".a.jpg.7.tmp",
            ]
            .into_iter()
            .filter(move |path| is_output(task, Path::new(path)))
            .collect::<Vec<_>>()
        };
        assert_eq!(
            outputs(Task::Train),
            ["weights/best.safetensors", "results.csv", "steps.chain", "metrics.json"]
        );
        assert_eq!(outputs(Task::Val), ["metrics.json", "predictions.json"]);
        assert_eq!(
            outputs(Task::Predict),
            ["predictions.json", "a.jpg", "crops/cat/a.jpg", "labels/a.txt"]
        );
    }
}
