//! Why a run cannot start, or what went wrong in it, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::config::Task;
use ybox_spec::dataset::DataSetError;
use ybox_spec::events::OUT_OF_MEMORY;
use ybox_spec::exit;
use ybox_spec::overrides::ConfigError;
use ybox_spec::weights::WeightsError;

use crate::ui::{DISK_FULL, Explain};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("`{key}` is not a setting of ybox: {answer}")]
    Foreign { key: String, answer: &'static str },
    #[error("{key}={value} is not offered: {answer}")]
    Unoffered { key: String, value: String, answer: &'static str },
    #[error("`{key}` is a setting of {}, not of {}", theirs.name(), ours.name())]
    OtherTask { key: String, ours: Task, theirs: Task },
    #[error("`names` cannot be set: class names come from the {origin}")]
    NamesGiven { origin: &'static str },
    #[error("{} needs {what}", task.name())]
    Needs { task: Task, what: &'static str, setting: &'static str },
    #[error("model={model} is a file; in train, `model` is the name of an architecture")]
    ModelIsFile { model: String },
    #[error("model={model} is an architecture; {} needs weights", task.name())]
    ModelIsName { model: String, task: Task },
    /// `also`: the other setting and its value.
    #[error("both weights={weights} and {also} are given")]
    TwoWeights { weights: String, also: String },
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("{} has weights of {found}, not of {wanted}", path.display())]
    OtherModel { path: PathBuf, found: String, wanted: String },
    #[error("{} has weights for {theirs} classes, the data set has {ours}", path.display())]
    OtherClasses { path: PathBuf, theirs: usize, ours: usize },
    #[error(transparent)]
    DataSet(#[from] DataSetError),
    #[error(
        "class {index} is {ours} in {}, and {theirs} in {}",
        ours_in.display(), theirs_in.display()
    )]
    NamesDiffer { index: usize, ours: String, ours_in: PathBuf, theirs: String, theirs_in: PathBuf },
    #[error("the image {image} has no preset for {model}")]
    NoPreset { image: String, model: String, known: Vec<String> },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} ends in none of .safetensors, .pt and .pth", path.display())]
    Form { path: PathBuf },
    #[error("{} cannot be converted", path.display())]
    Conversion { path: PathBuf, source: Said },
    #[error("{} is not a preset", path.display())]
    Preset { path: PathBuf, source: ConfigError },
    #[error("{} is of a {theirs} run, not of {}", path.display(), ours.name())]
    PresetTask { path: PathBuf, theirs: String, ours: Task },
    #[error("source={given}: {reason}")]
    Source { given: String, reason: String },
    #[error("device={device} has no effect: an export computes on the CPU")]
    Device { device: String },
    #[error("resume={given} does not say which run")]
    ResumeWhich { given: String },
    #[error("{} cannot be {verb}: {reason}", folder.display())]
    NotAgain { folder: PathBuf, verb: &'static str, reason: String },
    #[error("`{key}` has no effect on a run that is {verb}")]
    NoEffect { key: String, verb: &'static str },
    #[error("{} was started with {what}", folder.display())]
    OtherInputs { folder: PathBuf, what: String },
    #[error(
        "memory={memory} has no effect: it caps what `checkpointing=auto` and `batch=auto` plan with, \
         and what `cache=ram` takes"
    )]
    MemoryUnused { memory: String },
    #[error("`batch=auto` and `checkpointing=auto` each need the other to be settled")]
    TwoAutos,
    #[error("stopped while the batch was being chosen; nothing was written")]
    NotPlanned,
    #[error("the trainer did not say which batch fits")]
    NoPlan,
    #[error("the trainer failed")]
    Trainer { code: String, hint: Option<String>, source: Said },
    #[error("the trainer ended with status {status} and did not say why")]
    Crashed { status: i32, source: Said },
    /// `how` it ended.
    #[error("the trainer {how}, {tried}")]
    OutOfMemory { how: &'static str, tried: String, advice: String },
    #[error("the trainer was killed on request; {} has no record", folder.display())]
    Killed { folder: PathBuf },
}

impl RunError {
    /// `verb`: what the run in `folder` cannot be, such as `resumed`.
    pub fn not_again(folder: &Path, verb: &'static str, reason: impl Into<String>) -> Self {
        Self::NotAgain { folder: folder.to_owned(), verb, reason: reason.into() }
    }

    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } => true,
            Self::Trainer { code, .. } => code == OUT_OF_MEMORY,
            _ => false,
        }
    }
}

/// Someone else's words, as the cause of an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Said(pub String);

impl Said {
    /// What the C library calls it, in whatever words it stands.
    fn is_disk_full(&self) -> bool {
        self.0.contains("No space left on device") || self.0.contains("Disk quota exceeded")
    }
}

impl Explain for RunError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherTask { .. } | Self::Foreign { .. } | Self::NoEffect { .. } => {
                "leave it out".into()
            }
            Self::Unoffered { key, .. } if key == "format" => "export with format=onnx".into(),
            Self::Unoffered { .. } => "leave it out".into(),
            Self::NamesGiven { .. } => "leave it out, or change them there".into(),
            Self::Needs { setting, .. } => format!("add {setting}"),
            Self::ModelIsFile { model } => {
                format!("to start from those weights: model=NAME weights={model}")
            }
            Self::ModelIsName { .. } => "give weights=FILE.safetensors".into(),
            Self::TwoWeights { .. } => "give one of them; they mean the same here".into(),
            Self::Weights(WeightsError::Format { path, .. })
                if path.extension().is_some_and(|e| e == "pt" || e == "pth") =>
            {
                format!("first `ybox weights convert {} FILE.safetensors`", path.display())
            }
            Self::OtherClasses { .. } => {
                "train from scratch, or from weights with as many classes".into()
            }
            Self::OtherModel { found, .. } => format!("say model={found}"),
            Self::DataSet(error) => return error.hint(),
            Self::NamesDiffer { .. } => {
                "class indices must mean the same in both: use the data set that the weights were trained on, or one with its names".into()
            }
            Self::NoPreset { known, .. } if !known.is_empty() => {
                format!("it has {}; or give cfg=FILE", known.join(", "))
            }
            Self::NoPreset { .. } => "give cfg=FILE".into(),
            Self::ResumeWhich { .. } => "give its folder: resume=runs/train/exp".into(),
            Self::OtherInputs { .. } => {
                "a run goes on with what it was started with: leave the setting out or bring the files back; or start a new run".into()
            }
            Self::MemoryUnused { .. } => "add one of them, or leave it out".into(),
            Self::TwoAutos => "name the batch or the policy, as in checkpointing=layer".into(),
            Self::NoPlan => "use an image whose trainer is of this version of ybox".into(),
            Self::Device { .. } => "leave it out, or say device=cpu".into(),
            Self::Trainer { source, .. } | Self::Crashed { source, .. } if source.is_disk_full() => {
                DISK_FULL.into()
            }
            Self::Trainer { hint, .. } => return hint.clone(),
            Self::OutOfMemory { advice, .. } => advice.clone(),
            _ => return None,
        })
    }

    fn exit(&self) -> u8 {
        match self {
            // Apart from other failures, so that scripts can try again with less.
            _ if self.is_out_of_memory() => exit::OUT_OF_MEMORY,
            Self::OtherModel { .. }
            | Self::OtherClasses { .. }
            | Self::DataSet(_)
            | Self::Weights(_)
            | Self::NamesDiffer { .. }
            | Self::NoPreset { .. }
            | Self::NotAgain { .. }
            | Self::OtherInputs { .. }
            | Self::Device { .. }
            | Self::Source { .. }
            | Self::Conversion { .. }
            | Self::Trainer { .. } => 1,
            Self::Killed { .. } | Self::NotPlanned => 130,
            _ => 2,
        }
    }
}
