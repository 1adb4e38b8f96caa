//! A run as an in-toto statement: the subjects are the files that it produced, the predicate what it
//! started from and where it ran. Its bytes follow from `run.json`; places on the machine that ran
//! are left out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ybox_spec::record::{Artifact, Circumstances, Record, RecordError};

use super::file;
use crate::image::{sha256_of, statement};
use crate::ui::Explain;

/// Type of the predicate, in `docs/formats.md`.
pub const PREDICATE: &str = "urn:ybox:run:v1";

#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is not a record that this ybox can read", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} was changed since it was written", .0.display())]
    Changed(PathBuf),
}

impl Explain for StatementError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Changed(_) => Some("`ybox verify` lists what differs".into()),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Changed(_) => 1,
            _ => 2,
        }
    }
}

/// The statement about the run in `folder`, whose record must hash to what it says. The files that it
/// names are not looked at: that is `verify`'s.
pub fn run(folder: &Path) -> Result<Vec<u8>, StatementError> {
    let path = folder.join(file::RECORD);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(StatementError::Io { path, source }),
    };
    match Record::read(&text) {
        Ok(record) => Ok(of(&record)),
        Err(RecordError::Malformed(source)) => Err(StatementError::Malformed { path, source }),
        Err(RecordError::Changed) => Err(StatementError::Changed(path)),
    }
}

fn of(record: &Record) -> Vec<u8> {
    let subject =
        |artifact: &Artifact| json!({"name": artifact.path, "digest": sha256_of(&artifact.sha256)});
    let subjects: Vec<Value> = record.outputs.artifacts.iter().map(subject).collect();
    statement(&subjects, PREDICATE, predicate(record))
}

fn predicate(record: &Record) -> Value {
    let Circumstances { ybox, started, finished, image, data, engine, host, .. } =
        &record.circumstances;
    json!({
        "status": record.status,
        "inputs": record.inputs,
        "config": record.config,
        "steps": record.outputs.steps,
        "hashes": {
            "input": record.input_hash,
            "result": record.result_hash,
            "run": record.run_hash,
            "record": record.record_hash,
        },
        "image": {"reference": image.reference, "manifest": image.manifest},
        "data": {"files": data.files, "bytes": data.bytes},
        "ybox": ybox,
        "started": started,
        "finished": finished,
        "engine": engine,
        "host": host,
    })
}
