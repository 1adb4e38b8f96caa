//! What can go wrong with an engine, and what would mend it.

use std::io;
use std::path::PathBuf;

use crate::plan::HandOver;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("no {engine} engine answers: {reason}")]
    NotAnswering { engine: &'static str, reason: String },
    #[error("no engine can run a container here: {}", .reasons.join("; "))]
    NoneAnswers { reasons: Vec<String> },
    #[error("cannot {action}: the {engine} engine refused")]
    Refused {
        engine: &'static str,
        action: String,
        #[source]
        source: Box<bollard::errors::Error>,
    },
    #[error("the {engine} engine went away during the run")]
    WentAway {
        engine: &'static str,
        #[source]
        source: Box<bollard::errors::Error>,
    },
    #[error("the image {reference} is not loaded in the {engine} engine")]
    NotLoaded { engine: &'static str, reference: String },
    #[error("the {engine} engine loaded {reference}, but does not have the image {wanted}")]
    WrongImage { engine: &'static str, reference: String, wanted: String },
    #[error("cannot run containers with bubblewrap: {reason}")]
    Bubblewrap { reason: String, hint: String },
    #[error("bubblewrap could not start the container: {reason}")]
    NotStarted { reason: String },
    #[error("the image {reference} has no entry point")]
    NoEntryPoint { reference: String },
    #[error("{}: {}", .0.code(), .0.sentence())]
    Gpu(HandOver),
    #[error("cannot {action}")]
    Io {
        action: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot change the owner of {path}", path = .path.display())]
    Ownership {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} cannot be read by user {uid}, as whom the container runs", path = .path.display())]
    Unreadable { path: PathBuf, uid: u32 },
}

impl EngineError {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

impl Explain for EngineError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAnswering { engine: "podman", .. } => {
                "start its API with `systemctl --user start podman.socket`, or choose another \
                 engine with --engine"
                    .into()
            }
            Self::NotAnswering { .. } => {
                "start it (`systemctl start docker`), make sure that you may use its socket (group \
                 docker), or choose another engine with --engine"
                    .into()
            }
            Self::NoneAnswers { .. } => {
                "install bubblewrap (`apt-get install bubblewrap`), or install and start Docker or \
                 Podman"
                    .into()
            }
            Self::Bubblewrap { hint, .. } => hint.clone(),
            Self::Gpu(reason) => reason.remedy(),
            Self::WentAway { .. } => {
                "start the engine again; a run that was cut off can be resumed".into()
            }
            Self::NotLoaded { .. } => "load it with `ybox build`".into(),
            Self::Unreadable { .. } => {
                "let everyone read it (`chmod -R o+rX`), or run ybox as the user who owns it".into()
            }
            _ => return None,
        })
    }

    fn exit(&self) -> u8 {
        match self {
            Self::NotAnswering { .. }
            | Self::NoneAnswers { .. }
            | Self::Bubblewrap { .. }
            | Self::Gpu(_)
            | Self::NotLoaded { .. }
            | Self::Unreadable { .. } => 1,
            _ => 2,
        }
    }
}
