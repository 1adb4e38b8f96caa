//! What can go wrong with a registry, and whether trying again may help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;
use ybox_spec::Digest;

use crate::http::{CertificatesError, is_passing};
use crate::image::ImageError;
use crate::record::ParcelError;
use crate::trust::TrustError;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{reference}` names no registry")]
    NoHost { reference: String },
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error("this is offline, and {host} would have to be asked")]
    Offline { host: String },
    #[error("cannot reach the registry {host} over TLS")]
    Tls { host: String, source: reqwest::Error },
    #[error("cannot talk to the registry {host}")]
    Transport { host: String, source: reqwest::Error },
    #[error("{host} is no OCI registry: it answered {status} to /v2/")]
    NoRegistry { host: String, status: StatusCode },
    #[error("cannot read the credentials in {path}: {why}")]
    CredentialFile { path: PathBuf, why: String },
    #[error("{program} gave no credentials: {why}")]
    Helper { program: String, why: String },
    #[error("cannot get a token for {host}: {why}")]
    Token { host: String, why: String },
    #[error("{host} refuses {}", if *.had_credentials { "the credentials that it was shown" } else { "whoever shows no credentials" })]
    Unauthorized { host: String, had_credentials: bool },
    #[error("cannot {doing}: these credentials may not{}", in_brackets(.said))]
    Denied { doing: String, said: String },
    #[error("cannot {doing}: the registry answered {status}{}", in_brackets(.said))]
    Status { doing: String, status: StatusCode, said: String, retry_after: Option<Duration> },
    #[error("cannot {doing}: the registry lost what it had been sent")]
    Lost { doing: String },
    #[error("there is no {0}")]
    NotFound(String),
    #[error("{what} broke off after {found} of {expected} bytes")]
    Truncated { what: String, expected: u64, found: u64 },
    #[error("{what} has the wrong size: expected {expected} bytes, the registry sends {found}")]
    WrongSize { what: String, expected: u64, found: u64 },
    #[error("{what} has the wrong content: expected {expected}, the registry sent {found}")]
    WrongDigest { what: String, expected: Digest, found: Digest },
    #[error("{what} is larger than the {limit} bytes that are plausible for it")]
    TooLarge { what: String, limit: u64 },
    #[error("{what} is of the type `{found}`, which is not what was asked for")]
    MediaType { what: String, found: String },
    #[error("{what} is not what ybox can read: {why}")]
    Malformed { what: String, why: String },
    #[error("{what} does not fit on this disk: {path}")]
    NoRoom { what: String, path: PathBuf, source: io::Error },
    #[error("{path} no longer has the content {expected}")]
    Changed { path: PathBuf, expected: Digest },
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    #[error("{reference} names something else than a run")]
    TagTaken { reference: String },
    #[error(
        "the run's image, {image} with config {config}, is neither in the store nor in {repository}"
    )]
    NoImage { image: String, config: Digest, repository: String },
    #[error("{what} is not the image that the run ran in")]
    OtherImage { what: String },
    #[error("{place} has several runs:{}", lines(.runs))]
    SeveralRuns { place: String, runs: Vec<String> },
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn lines(items: &[String]) -> String {
    items.iter().map(|item| format!("\n  {item}")).collect()
}

impl RegistryError {
    /// For `map_err`: an I/O error while `doing` something.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    pub(super) fn malformed(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Malformed { what: what.into(), why: why.to_string() }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_builder() && !source.is_redirect(),
            Self::Status { status, .. } => is_passing(*status),
            Self::Truncated { .. } | Self::Lost { .. } => true,
            _ => false,
        }
    }

    /// Whether the registry said no.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. }
                | Self::Denied { .. }
                | Self::Status { .. }
                | Self::NotFound(_)
        )
    }

    /// Whether nothing can be had from this registry, so that another may be asked.
    pub fn is_unavailable(&self) -> bool {
        self.is_refusal()
            || matches!(
                self,
                Self::Transport { .. }
                    | Self::Tls { .. }
                    | Self::NoRegistry { .. }
                    | Self::Token { .. }
                    | Self::Helper { .. }
            )
    }

    /// Whether what arrived was not what its name says.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::WrongSize { .. } | Self::WrongDigest { .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Explain for RegistryError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Image(error) => return error.hint(),
            Self::Parcel(error) => return error.hint(),
            Self::TagTaken { .. } => {
                "give the run another tag; without one it is named after its hash"
            }
            Self::NoImage { .. } => "build it from the same lock and trainer, or pull it",
            Self::OtherImage { .. } => "ask whoever pushed the run to push it again",
            Self::SeveralRuns { .. } => "name one of them by its digest",
            Self::Trust(error) => return error.hint(),
            Self::NoHost { reference } => {
                return Some(format!(
                    "write it with its host: HOST/{reference}, or docker.io/{reference} for Docker \
                     Hub"
                ));
            }
            Self::Offline { .. } => "run it once without --offline",
            Self::Tls { .. } => {
                "name its certificate authority with --certificates FILE; if it speaks plain HTTP, \
                 or nobody vouches for it, add --insecure"
            }
            Self::NoRegistry { .. } => "check the host's name and port",
            Self::Unauthorized { host, .. } => {
                return Some(format!(
                    "log in with `docker login {host}` or `podman login {host}`: ybox uses their \
                     credentials"
                ));
            }
            Self::Denied { .. } => "ask whoever runs the registry, or log in as somebody else",
            Self::NotFound(_) => "check name and tag",
            Self::WrongSize { .. } | Self::WrongDigest { .. } => {
                "nothing of it was kept; the registry is damaged, or lies: tell whoever runs it"
            }
            Self::Changed { .. } => {
                "an image is mended by `ybox build VARIANT` or `ybox pull`; other files must not \
                 change while they are pushed"
            }
            Self::NoRoom { .. } => crate::ui::DISK_FULL,
            _ if self.is_transient() => "try again: what has arrived so far is kept",
            _ => return None,
        };
        Some(hint.into())
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Image(error) => error.exit(),
            Self::Parcel(error) => error.exit(),
            Self::Trust(error) => error.exit(),
            Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::NotFound(_)
            | Self::WrongSize { .. }
            | Self::WrongDigest { .. }
            | Self::TooLarge { .. }
            | Self::MediaType { .. }
            | Self::Malformed { .. }
            | Self::Changed { .. }
            | Self::TagTaken { .. }
            | Self::SeveralRuns { .. }
            | Self::NoImage { .. }
            | Self::OtherImage { .. }
            | Self::Offline { .. } => 1,
            _ => 2,
        }
    }
}
