//! Why a task could not be done, and how that is said in an event.

use std::io;
use std::path::{Path, PathBuf};

use ybox_picture::SaveError;
use ybox_spec::events::{Event, OUT_OF_MEMORY};
use ybox_spec::exit;
use ybox_spec::manifest::ManifestError;

use crate::convert::ConvertError;
use crate::data::DataError;
use crate::eval::metrics::EvalError;
use crate::export::ExportError;
use crate::model::{ModelError, SpecError, StateDictError};
use crate::optim::StateError;
use crate::out_of_memory::Shortage;
use crate::train::CheckpointError;
use crate::weights::{FormatError, WeightsFileError};

#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a resolved config: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("the config is for `{config}`")]
    WrongTask { config: &'static str },
    #[error("what a step needs under checkpointing={policy} could not be measured: {reason}")]
    NotMeasured { policy: &'static str, reason: String },
    #[error(
        "out of memory: not even a small batch could be measured under \
         checkpointing={policy}: {reason}"
    )]
    NoRoom { policy: &'static str, reason: String, advice: String },
    #[error("out of memory: no batch fits under checkpointing={policy}: {reason}")]
    NoBatch { policy: &'static str, reason: String, advice: String },
    #[error("cache=disk needs a folder")]
    NoCacheFolder,
    #[error("portable numerics need a CPU with AVX2 and FMA, which this one has not")]
    NotPortable,
    #[error("portable numerics are for the CPU: a GPU keeps its bits on GPUs of its kind only")]
    PortableOnGpu,
    #[error("the `{path}` attention path does not exist on {device}")]
    AttentionPath { path: &'static str, device: String },
    #[error("{device} has no kernel for the `{path}` attention path in {dtype}: {reason}")]
    AttentionKernel { path: &'static str, dtype: &'static str, device: String, reason: String },
    #[error("{}", .0.sentence())]
    Gpu(crate::cuda::Refusal),
    #[error("{} is a checkpoint of another run: its config or its data are not these", path.display())]
    OtherRun { path: PathBuf },
    #[error("cannot go on from {}: {source}", path.display())]
    Resume { path: PathBuf, source: CheckpointError },
    #[error("the config leaves `amp` open: it must say off, bf16 or fp16")]
    AmpOpen,
    #[error("no weights were given")]
    NoWeights,
    #[error(
        "training diverged in epoch {epoch}, after step {step}: {cause}, even after going back \
         twice to a healthy state, to half and to a quarter of the learning rate, and to safe \
         attention"
    )]
    Diverged { epoch: u32, step: u64, cause: &'static str },
    #[error("`{tensor}` is not finite: these weights are not written")]
    NotFinite { tensor: String },
    #[error("out of memory in {tried}: {shortage}")]
    OutOfMemory { tried: String, advice: String, shortage: Shortage },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Picture(#[from] SaveError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    StateDict(#[from] StateDictError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Weights(#[from] WeightsFileError),
    #[error(transparent)]
    Tensors(#[from] FormatError),
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Torch(#[from] torch_ext::TorchError),
}

impl From<crate::cuda::Refusal> for TrainerError {
    fn from(refusal: crate::cuda::Refusal) -> Self {
        Self::Gpu(refusal)
    }
}

impl TrainerError {
    /// How the process ends with it.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Gpu(_) => exit::NO_GPU,
            _ => 1,
        }
    }

    /// The same of a measurement, whose caller goes by want of memory.
    pub fn measuring_status(&self) -> u8 {
        match self {
            Self::OutOfMemory { .. } => exit::OUT_OF_MEMORY,
            other => other.exit_status(),
        }
    }

    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// Stable, for machines.
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read-failed",
            Self::Write { .. } => "write-failed",
            Self::Config { .. } | Self::WrongTask { .. } | Self::AmpOpen => "bad-config",
            Self::OtherRun { .. } => "other-run",
            Self::Resume { .. } => "resume-failed",
            Self::Manifest { .. } => "bad-manifest",
            Self::NotMeasured { .. } => "memory-not-measured",
            Self::NotPortable => "no-avx2",
            Self::PortableOnGpu => "portable-needs-cpu",
            Self::AttentionPath { .. } | Self::AttentionKernel { .. } => "no-such-attention-path",
            Self::Gpu(refusal) => refusal.code(),
            Self::NoWeights => "no-weights",
            Self::NoCacheFolder => "no-cache-folder",
            Self::Diverged { .. } => "training-diverged",
            Self::NotFinite { .. } => "weights-not-finite",
            Self::OutOfMemory { .. } | Self::NoRoom { .. } | Self::NoBatch { .. } => OUT_OF_MEMORY,
            Self::Data(error) => error.code(),
            Self::Picture(_) => "write-failed",
            Self::Spec(_) | Self::Model(_) => "bad-config",
            Self::StateDict(_) | Self::State(_) | Self::Weights(_) | Self::Tensors(_) => {
                "bad-weights"
            }
            Self::Eval(_) => "scoring-failed",
            Self::Convert(_) => "convert-failed",
            Self::Export(_) => "export-failed",
            Self::Torch(_) => "libtorch-failed",
        }
    }

    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::PortableOnGpu => "use numerics=fast",
            Self::AttentionKernel { .. } => {
                "flash on a GPU needs compute capability 8.0 and fp16 or bf16 (amp=bf16); \
                 attention=efficient takes fp32 too, attention=safe takes anything"
            }
            Self::Gpu(refusal) => return Some(refusal.remedy()),
            Self::NotPortable => "use numerics=fast: the bits then hold on this kind of CPU only",
            Self::Diverged { .. } => {
                "a lower lr0, a larger batch or more warmup_epochs mends it most often; \
                 docs/stability.md says how to find the cause"
            }
            Self::OutOfMemory { advice, .. }
            | Self::NoRoom { advice, .. }
            | Self::NoBatch { advice, .. } => advice,
            Self::Data(error) => error.hint()?,
            _ => return None,
        };
        Some(hint.into())
    }

    pub fn to_event(&self) -> Event {
        Event::Failed { code: self.code().into(), message: self.to_string(), hint: self.hint() }
    }
}
