//! The whole state of a training between two batches, as one safetensors file: tensors, and in the
//! header everything else. Which files are kept, and when, is `shelf`'s.

mod session;
mod shelf;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, View, serialize_to_file};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use ybox_spec::Digest;
use ybox_spec::checkpoint::METADATA_KEY;

use super::best::Best;
use super::outputs::{Outputs, OutputsState};
use super::resume_error::ResumeError;
use super::session::Session;
use super::snapshot::Named;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::weights::{self, FormatError, HostTensor};
use session::SessionState;
pub use shelf::Shelf;

/// Value of `schema` in every checkpoint of this form.
const SCHEMA: &str = "ybox.checkpoint/v1";

/// What a checkpoint is of: that of another run is never gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIdentity {
    pub config: Digest,
    /// Merkle root of the data manifest.
    pub data: Digest,
}

/// All of a checkpoint but its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    schema: String,
    pub run: RunIdentity,
    /// Lines of the event log.
    pub events: u64,
    pub session: SessionState,
    pub outputs: OutputsState,
    pub best: Best,
}

/// A state to go on from. Its tensors are in the memory of the host and change no more.
pub struct Checkpoint {
    pub about: About,
    pub tensors: Named,
}

/// Why a file is no checkpoint to go on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read it: {0}")]
    Read(#[from] std::io::Error),
    #[error("its digest is {found}, not the one in its name")]
    Digest { found: Digest },
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("it is not of the form {SCHEMA}")]
    Schema,
    #[error(transparent)]
    Outputs(#[from] ResumeError),
}

impl CheckpointError {
    /// Whether another checkpoint may serve: what cannot be read or written now may be later.
    fn is_damage(&self) -> bool {
        !matches!(self, Self::Read(_) | Self::Outputs(ResumeError::File { .. }))
    }
}

impl Checkpoint {
    /// Copies the present state.
    pub fn of(
        session: &Session,
        outputs: &Outputs,
        best: &Best,
        run: RunIdentity,
        emit: &Emitter,
    ) -> Result<Self, TrainerError> {
        let (state, tensors) = session.state();
        let about = About {
            schema: SCHEMA.into(),
            run,
            events: emit.log().count(),
            session: state,
            outputs: outputs.state()?,
            best: best.clone(),
        };
        Ok(Self { about, tensors })
    }

    /// Writes it to `path`, without a copy of all of it in memory.
    fn write(&self, path: &Path) -> Result<(), FormatError> {
        let about = serde_json::to_string(&self.about)?;
        let tensors = self.tensors.iter().map(|(name, tensor)| {
            let (dtype, size) = weights::kind(name, tensor)?;
            let shape = tensor.size().into_iter().map(|side| side as usize).collect();
            Ok((name, Lazy { tensor, dtype, size, shape }))
        });
        let tensors = tensors.collect::<Result<Vec<_>, FormatError>>()?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), about)]);
        Ok(serialize_to_file(tensors, Some(metadata), path)?)
    }

    fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (about, tensors) = weights::parse::<About>(bytes, METADATA_KEY)?;
        match about.filter(|about| about.schema == SCHEMA) {
            Some(about) => Ok(Self { about, tensors }),
            None => Err(CheckpointError::Schema),
        }
    }
}

/// Values that are copied when they are written.
struct Lazy<'a> {
    tensor: &'a Tensor,
    dtype: Dtype,
    size: usize,
    shape: Vec<usize>,
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let copied = HostTensor::copy("", self.tensor);
        Cow::Owned(copied.expect("a tensor of this kind in the host's memory").bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.size
    }
}

/// Goes on from the newest checkpoint that is whole; `None` where there is none.
///
/// # Errors
/// When there is one, but of another run, or when files cannot be read or written: nothing is given
/// up for that.
pub fn resume(
    shelf: &Shelf,
    run: RunIdentity,
    session: &mut Session,
    mut open: impl FnMut(&About) -> Result<Outputs, ResumeError>,
    emit: &mut Emitter,
) -> Result<Option<(About, Outputs)>, TrainerError> {
    let failed = |path: &Path, source| TrainerError::Resume { path: path.to_owned(), source };
    let found = shelf.found().map_err(|error| failed(shelf.folder(), error.into()))?;
    for found in found {
        let opened = found.read().and_then(|checkpoint| {
            if checkpoint.about.run != run {
                return Ok(Err(TrainerError::OtherRun { path: found.path().to_owned() }));
            }
            let outputs = open(&checkpoint.about)?;
            Ok(Ok((checkpoint, outputs)))
        });
        match opened {
            Ok(opened) => {
                let (checkpoint, outputs) = opened?;
                session.restore(&checkpoint.about.session, checkpoint.tensors)?;
                return Ok(Some((checkpoint.about, outputs)));
            }
            Err(error) if !error.is_damage() => {
                return Err(failed(found.path(), error));
            }
            Err(error) => {
                let message = format!("{} cannot be gone on from: {error}", found.name());
                emit.note("checkpoint-damaged", message);
                found.remove();
            }
        }
    }
    Ok(None)
}
