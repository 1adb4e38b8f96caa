//! Why a data set is not converted.

use std::io;
use std::path::PathBuf;

use ybox_spec::dataset::{DataSetError, Format};

use crate::contents::Finding;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    DataSet(#[from] DataSetError),
    #[error("{} is already there", .0.display())]
    Exists(PathBuf),
    #[error("{} has none of the splits `train`, `val` and `test`", .0.display())]
    NoSplit(PathBuf),
    #[error("no picture of `{split}` in {} can be used", data.display())]
    NoPicture { data: PathBuf, split: &'static str },
    #[error("{} has {} problems; nothing is written\n{}", data.display(), findings.len(), listed(findings))]
    Findings { data: PathBuf, findings: Vec<Finding> },
    #[error("a file of the form {to} cannot name the class {name:?}: {reason}")]
    ClassName { to: Format, name: String, reason: &'static str },
    #[error("{} and {} would both be called {name}", one.display(), other.display())]
    SameName { one: PathBuf, other: PathBuf, name: String },
    #[error("{} has other objects in one split than in another; Pascal VOC has one label for both", .0.display())]
    TwoLabels(PathBuf),
    #[error("the name of {} is not UTF-8 text", .0.display())]
    NotUtf8(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl ConvertError {
    pub fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

impl Explain for ConvertError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Exists(_) => "name a new folder".into(),
            Self::Findings { data, .. } => format!(
                "correct them (`ybox data check {}` lists all), or leave out what is wrong with \
                 --drop-bad, as a training does",
                data.display()
            ),
            Self::NoPicture { data, .. } => {
                format!("`ybox data check {}` says what is wrong", data.display())
            }
            Self::ClassName { .. } => "rename the class in the data set's YAML file".into(),
            Self::DataSet(error) => return error.hint(),
            Self::TwoLabels(_) => "convert to coco or yolo, or make the labels the same".into(),
            Self::SameName { .. } => "rename one of the pictures and its labels".into(),
            _ => return None,
        })
    }

    fn exit(&self) -> u8 {
        if matches!(self, Self::Write { .. }) { 2 } else { 1 }
    }
}

/// Findings that an error shows.
const SHOWN: usize = 20;

fn listed(findings: &[Finding]) -> String {
    let mut lines: Vec<_> =
        findings.iter().take(SHOWN).map(|f| format!("  {}", f.shown())).collect();
    if findings.len() > SHOWN {
        lines.push(format!("  and {} more", findings.len() - SHOWN));
    }
    lines.join("\n")
}
