//! What can go wrong with keys and signatures, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Refusal;
use crate::image::ImageError;
use crate::settings::yaml::YamlError;
use crate::ui::Explain;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    #[error("{0} is there already: ybox never overwrites a key")]
    KeyExists(PathBuf),
    #[error("{what} is not a key that ybox can use: {why}")]
    BadKey { what: String, why: String },
    #[error("the passphrase does not open {0}")]
    WrongPassphrase(String),
    #[error("there is no terminal to ask for the passphrase of the key")]
    NoPassphrase,
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    #[error("the two passphrases are not the same")]
    PassphrasesDiffer,
    #[error("the trust policy {} is not valid", path.display())]
    PolicyContent { path: PathBuf, source: YamlError },
    #[error("the trust policy {} is not valid: {why}", path.display())]
    Policy { path: PathBuf, why: String },
    #[error("{what} is not trusted: {}: {refusal}", refusal.code())]
    Refused { what: String, policy: PathBuf, refusal: Box<Refusal> },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{what} is not a signature that ybox can read: {why}")]
    BadSignature { what: String, why: String },
}

impl TrustError {
    /// For `map_err`: an I/O error while `doing` something, e.g. `read the key a.key`.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    pub(super) fn bad_signature(what: impl Into<String>, why: impl ToString) -> Self {
        Self::BadSignature { what: what.into(), why: why.to_string() }
    }
}

impl Explain for TrustError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::KeyExists(_) => Some("choose another name: `ybox key new NAME`".into()),
            Self::BadKey { .. } => Some(
                "ybox uses ECDSA P-256 keys as `ybox key new` and `cosign generate-key-pair` \
                 write them"
                    .into(),
            ),
            Self::NoPassphrase => Some(
                "give it with --passphrase-file FILE or in the environment variable \
                 YBOX_KEY_PASSPHRASE"
                    .into(),
            ),
            Self::EmptyPassphrase => {
                Some("choose one that is hard to guess: it is all that protects the file".into())
            }
            Self::Refused { policy, refusal, .. } => Some(remedy(refusal, &policy.display())),
            Self::Image(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::KeyExists(_)
            | Self::WrongPassphrase(_)
            | Self::BadSignature { .. }
            | Self::Refused { .. } => 1,
            Self::Image(error) => error.exit(),
            _ => 2,
        }
    }
}

/// What would make an image or a run pass.
fn remedy(refusal: &Refusal, policy: &dyn std::fmt::Display) -> String {
    match refusal {
        Refusal::NoRule => format!("if it is to be trusted, add a rule for it to {policy}"),
        Refusal::NotBuiltHere { .. } => {
            format!("build it here with `ybox build VARIANT`, or change the rule in {policy}")
        }
        _ => format!(
            "have it signed by one of the keys in {policy}: `ybox push REF --sign KEY`, of a run with \
             --run RUN"
        ),
    }
}
