//! Why a recipe or a lock can't be read, or a recipe can't be locked.

use std::io;
use std::path::PathBuf;

use crate::settings::yaml::YamlError;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read or write {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not valid")]
    Content { path: PathBuf, source: YamlError },
    #[error("{path} has the schema `{found}`; this ybox knows `{known}`")]
    Schema { path: PathBuf, found: String, known: &'static str },
}

impl Explain for LockError {}
