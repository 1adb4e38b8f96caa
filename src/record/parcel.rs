//! A run as it is carried elsewhere: its record, the files that this lists, and the report. What
//! leaves and what arrives is compared with the record.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::record::{Artifact, Record};

use super::folder::{file, is_inside};
use crate::ui::Explain;

/// What a run folder has to offer.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub record: Record,
    /// The record itself, what it lists, and the report if there is one.
    pub files: Vec<Artifact>,
}

#[derive(Debug, thiserror::Error)]
pub enum ParcelError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {why}", path.display())]
    Record { path: PathBuf, why: String },
    #[error("{} is not what the run's record says", .0.display())]
    Differs(PathBuf),
    #[error("the run has no file {0}, which its record lists")]
    Absent(String),
    #[error("the run brings `{0}`, which its record does not list")]
    Unlisted(String),
    #[error("the run brings `{0}` twice")]
    Twice(String),
    #[error("the run brings other files than those that were signed")]
    OtherFiles,
    #[error("its record says that the run ran in another image, {0}")]
    OtherImage(Digest),
    #[error("the path `{0}` leaves the run folder")]
    Outside(String),
    #[error("{what} is not what ybox can read: {why}")]
    Malformed { what: String, why: String },
}

impl ParcelError {
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    pub(super) fn malformed(what: impl Into<String>, why: &dyn ToString) -> Self {
        Self::Malformed { what: what.into(), why: why.to_string() }
    }
}

impl Explain for ParcelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Write { .. } => None,
            Self::Differs(_) | Self::Record { .. } => {
                Some("`ybox verify RUN` says what was changed".into())
            }
            _ => Some("ask whoever it is from to push or export it again".into()),
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Read { .. } | Self::Write { .. } => 2,
            _ => 1,
        }
    }
}

impl Parcel {
    /// Reads the run in `folder`; every file has to be what the record says.
    pub fn of(folder: &Path) -> Result<Self, ParcelError> {
        let record = read_record(&folder.join(file::RECORD))?;
        let mut files = vec![found(folder, file::RECORD)?];
        for listed in listed(&record) {
            let found = found(folder, &listed.path)?;
            if found != *listed {
                return Err(ParcelError::Differs(folder.join(&listed.path)));
            }
            files.push(found);
        }
        if folder.join(file::REPORT).is_file() {
            files.push(found(folder, file::REPORT)?);
        }
        Ok(Self { record, files })
    }

    /// Checks what arrived in `folder` as `files`, whose own digests were checked on the way.
    pub fn check(folder: &Path, files: &[Artifact]) -> Result<Record, ParcelError> {
        let record = read_record(&folder.join(file::RECORD))?;
        let mut rest: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        for listed in listed(&record) {
            match files.iter().find(|file| file.path == listed.path) {
                Some(file) if file == listed => {}
                Some(_) => return Err(ParcelError::Differs(folder.join(&listed.path))),
                None => return Err(ParcelError::Absent(listed.path.clone())),
            }
            rest.remove(listed.path.as_str());
        }
        rest.remove(file::RECORD);
        rest.remove(file::REPORT);
        match rest.first() {
            Some(extra) => Err(ParcelError::Unlisted((*extra).to_owned())),
            None => Ok(record),
        }
    }
}

/// Refuses a path that would lead out of a run folder.
pub fn refuse_outside(path: &str) -> Result<(), ParcelError> {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    match is_inside(path) && !hidden && !path.contains(['\\', '\0', '\n']) {
        true => Ok(()),
        false => Err(ParcelError::Outside(path.to_owned())),
    }
}

fn listed(record: &Record) -> impl Iterator<Item = &Artifact> {
    record.outputs.artifacts.iter().chain(&record.files)
}

fn read_record(path: &Path) -> Result<Record, ParcelError> {
    let read = |source| ParcelError::Read { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(read)?;
    Record::read(&bytes)
        .map_err(|e| ParcelError::Record { path: path.to_owned(), why: e.to_string() })
}

/// A file of a run folder as it is now.
pub(super) fn found(folder: &Path, name: &str) -> Result<Artifact, ParcelError> {
    refuse_outside(name)?;
    let path = folder.join(name);
    let (sha256, size) =
        Digest::of_file(&path).map_err(|source| ParcelError::Read { path, source })?;
    Ok(Artifact { path: name.to_owned(), size, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        for good in ["run.json", "weights/best.safetensors", "labels/a b.txt"] {
            assert!(refuse_outside(good).is_ok(), "{good}");
        }
        for bad in ["../x", "/etc/x", "a/../../x", "", ".ssh/x", "a/./b", "a\\b", "a\0b"] {
            assert!(refuse_outside(bad).is_err(), "{bad}");
        }
    }
}
