//! What can go wrong with a download, and whether trying again may help.

use std::io;
use std::path::PathBuf;

use reqwest::{StatusCode, Url};
use ybox_spec::Digest;

use super::client::shown;
use super::index::IndexError;
use super::libtorch::LibtorchError;
use super::sources::SourceError;
use crate::http::{CertificatesError, is_passing};
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot download {}", shown(url))]
    Http { url: Box<Url>, source: reqwest::Error },
    #[error("cannot download {}: the server answered {status}", shown(url))]
    Status { url: Box<Url>, status: StatusCode },
    #[error("{} is not there", shown(url))]
    Missing { url: Box<Url> },
    #[error("the download of {file} broke off after {found} of {expected} bytes")]
    Truncated { file: String, expected: u64, found: u64 },
    #[error("{file} has the wrong size: expected {expected} bytes, found {found}")]
    WrongSize { file: String, expected: u64, found: u64 },
    #[error("{file} has the wrong content: expected {expected}, found {found}")]
    WrongHash { file: String, expected: Digest, found: Digest },
    #[error("{} is larger than the {limit} bytes that are plausible for it", shown(url))]
    TooLarge { url: Box<Url>, limit: u64 },
    #[error("{package} {version} is no longer in the Debian archive")]
    Gone { package: String, version: String, snapshot: bool },
    #[error("{file} is not in the Python package index")]
    NotInIndex { file: String },
    #[error("cannot read the Python package index at {}", shown(url))]
    Index { url: Box<Url>, source: IndexError },
    #[error("the snapshot service has no {package} {version}")]
    NoSnapshot { package: String, version: String },
    #[error("not downloaded yet, and this is offline: {}", files.join(", "))]
    Offline { files: Vec<String> },
    #[error("cannot use the download cache at {path}")]
    Cache { path: PathBuf, source: io::Error },
    #[error("there is no room for {file} ({size} bytes) in the download cache at {}", path.display())]
    NoRoom { file: String, size: u64, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl FetchError {
    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Http { source, .. } => !source.is_builder() && !source.is_redirect(),
            Self::Status { status, .. } => is_passing(*status),
            Self::Truncated { .. } => true,
            _ => false,
        }
    }

    /// Whether the bytes of a mirror were not those that the lock names.
    pub(super) fn is_mismatch(&self) -> bool {
        matches!(self, Self::WrongSize { .. } | Self::WrongHash { .. })
    }
}

impl Explain for FetchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Source(e) => e.hint(),
            Self::Libtorch(e) => e.hint(),
            Self::Gone { package, snapshot, .. } => Some(gone_hint(package, *snapshot)),
            Self::NoSnapshot { package, .. } => Some(format!(
                "lock the version that the archive has now: ybox lock --upgrade {package}"
            )),
            Self::WrongSize { .. } | Self::WrongHash { .. } => {
                Some("nothing was kept; try another mirror, or ask whoever made the lock".into())
            }
            Self::Offline { .. } => Some(
                "run it once without --offline, or bring what `ybox fetch --all DIR` wrote on \
                 another machine and say --carried DIR"
                    .into(),
            ),
            Self::NotInIndex { .. } => Some("set YBOX_PYTHON_INDEX to an index that has it".into()),
            _ if self.is_transient() => {
                Some("try again: what was downloaded so far is kept".into())
            }
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Source(e) => e.exit(),
            Self::Libtorch(e) => e.exit(),
            Self::WrongSize { .. }
            | Self::WrongHash { .. }
            | Self::Gone { .. }
            | Self::NotInIndex { .. }
            | Self::NoSnapshot { .. }
            | Self::Offline { .. } => 1,
            _ => 2,
        }
    }
}

fn gone_hint(package: &str, snapshot: bool) -> String {
    let upgrade = format!("ybox lock --upgrade {package}");
    if snapshot {
        format!("the snapshot service doesn't have it either; lock what is there now: {upgrade}")
    } else {
        format!(
            "lock the version that is there now with `{upgrade}`, or set YBOX_SNAPSHOT to a \
             snapshot service that keeps old versions"
        )
    }
}
