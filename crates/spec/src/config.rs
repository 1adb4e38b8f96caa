//! The configuration schema of the tasks, its defaults, ranges and hash. A resolved config
//! holds everything that may change a result and nothing that may not: where files lie, how many
//! loader threads run and what the run is called are [`Launch`] settings and are not hashed.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::amp::Amp;
use crate::augmentation::{self, AugmentSchedule};
use crate::memory::MemorySize;
use crate::overrides::{ConfigError, Schema};
use crate::{Digest, canonical};

/// Domain of the config hash. A change to the meaning of any key forces a new version.
pub const CONFIG_DOMAIN: &str = "ybox.config.v1";

/// A resolved configuration, tagged by its task. This is what `config.yaml` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there is one of them in a program")]
pub enum Config {
    Train(TrainConfig),
    Val(ValConfig),
    Predict(PredictConfig),
    Export(ExportConfig),
}

impl Config {
    /// An export has no settings of its own here: it rewrites numbers in a fixed order, into a graph
    /// whose attention is the plain one.
    pub const EXPORT_COMPUTE: Compute =
        Compute { attention: AttentionPath::Safe, numerics: Numerics::Portable, threads: 1 };

    pub fn digest(&self) -> Digest {
        canonical::digest(CONFIG_DOMAIN, self)
    }

    pub fn task(&self) -> Task {
        match self {
            Self::Train(_) => Task::Train,
            Self::Val(_) => Task::Val,
            Self::Predict(_) => Task::Predict,
            Self::Export(_) => Task::Export,
        }
    }

    pub fn attention(&self) -> AttentionPath {
        self.compute().attention
    }

    pub fn compute(&self) -> &Compute {
        match self {
            Self::Train(c) => &c.compute,
            Self::Val(c) => &c.compute,
            Self::Predict(c) => &c.compute,
            Self::Export(_) => &Self::EXPORT_COMPUTE,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Train,
    Val,
    Predict,
    Export,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Predict => "predict",
            Self::Export => "export",
        }
    }
}

/// How attention is computed. `auto` is settled by `plan` before anything is hashed; a trainer
/// never sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionPath {
    Auto,
    /// Fused flash kernels (on a CPU, the tiled flash kernel).
    Flash,
    /// Tiled memory-efficient kernels.
    Efficient,
    /// Plain attention with the softmax in fp32.
    Safe,
}

impl AttentionPath {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flash => "flash",
            Self::Efficient => "efficient",
            Self::Safe => "safe",
        }
    }
}

/// What promise the arithmetic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// The same bits on any x86-64 CPU with AVX2: instruction set and thread count are pinned.
    Portable,
    /// The same bits on the same class of hardware: the fastest kernels it has.
    Fast,
}

impl Numerics {
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Fast => "fast",
        }
    }
}

/// What decides the bits of the arithmetic, in every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    pub attention: AttentionPath,
    pub numerics: Numerics,
    /// Threads that share one tensor operation. Part of the numerics: sums are split by it.
    pub threads: u32,
}

impl Default for Compute {
    fn default() -> Self {
        Self { attention: AttentionPath::Auto, numerics: Numerics::Portable, threads: 2 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerChoice {
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "SGD")]
    Sgd,
    #[serde(rename = "AdamW")]
    AdamW,
}

/// Layers of a model, 0 to [`LAST_LAYER`]: the first so many, or those listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "neither a number of layers nor a list of them")]
pub enum Freeze {
    First(u32),
    Listed(Vec<u32>),
}

/// Index of the head, in both graphs.
pub const LAST_LAYER: u32 = 21;

impl Freeze {
    pub fn covers(&self, layer: u32) -> bool {
        match self {
            Self::First(count) => layer < *count,
            Self::Listed(layers) => layers.contains(&layer),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let last = match self {
            Self::First(count) => *count,
            Self::Listed(layers) => layers.iter().copied().max().unwrap_or(0),
        };
        within("freeze", f64::from(last), 0.0, f64::from(LAST_LAYER))?;
        if (0..=LAST_LAYER).all(|layer| self.covers(layer)) {
            let reason = "every layer is frozen: nothing would be trained".into();
            return Err(ConfigError::Value { key: "freeze".into(), reason });
        }
        Ok(())
    }
}

/// Name of the one class of `single_cls`.
pub const SINGLE_CLASS: &str = "item";

/// Which graph a model is trained in from scratch. Given weights bring their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// Every scale adds its attention layers to their input, scaled by a learned gamma that starts
    /// near 0, which keeps early training stable.
    None,
    /// The published graphs: the scales l and x alone do.
    Paper,
}

/// Post-processing of raw predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nms {
    /// Boxes must score above this.
    pub conf: f64,
    /// A box that overlaps a better one of its class by more than this is dropped.
    pub iou: f64,
    /// At most this many boxes are kept per image.
    pub max_det: u32,
}

/// Everything that shapes a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Graph and scale: `yolov12{n,s,m,l,x}` or `yolo12{n,s,m,l,x}`.
    pub model: String,
    pub compat: Compat,
    /// Class names, in the order of the class indices. Comes from the data set.
    pub names: Vec<String>,
    pub epochs: u32,
    /// Epochs without a better fitness before training stops; 0 never stops early.
    pub patience: u32,
    /// Images per step.
    pub batch: u32,
    /// Nominal batch: gradients accumulate over about `nbs / batch` steps, and weight decay is
    /// scaled by the effective batch over it.
    pub nbs: u32,
    /// Side of the square training image in pixels; a multiple of 32.
    pub imgsz: u32,
    pub seed: u64,
    pub optimizer: OptimizerChoice,
    pub lr0: f64,
    /// Final learning rate as a share of the first.
    pub lrf: f64,
    /// SGD momentum, or AdamW's beta1.
    pub momentum: f64,
    pub weight_decay: f64,
    pub warmup_epochs: f64,
    pub warmup_momentum: f64,
    pub warmup_bias_lr: f64,
    pub cos_lr: bool,
    /// What the forward pass computes in.
    pub amp: Amp,
    /// Largest L2 norm of the gradient; larger ones are scaled down to it.
    pub max_grad_norm: f64,
    pub ema_decay: f64,
    /// Updates over which the EMA decay ramps up.
    pub ema_tau: f64,
    /// Gains of the loss components.
    #[serde(rename = "box")]
    pub box_gain: f64,
    #[serde(rename = "cls")]
    pub cls_gain: f64,
    #[serde(rename = "dfl")]
    pub dfl_gain: f64,
    /// Colour jitter: shares of the hue circle, the saturation and the value.
    pub hsv_h: f64,
    pub hsv_s: f64,
    pub hsv_v: f64,
    /// Random affine: rotation and shear in degrees, translation and scale as shares.
    pub degrees: f64,
    pub translate: f64,
    pub scale: f64,
    pub shear: f64,
    /// Largest tilt about either axis: the change of depth per pixel.
    pub perspective: f64,
    /// Probabilities.
    pub flipud: f64,
    pub fliplr: f64,
    pub mosaic: f64,
    pub mixup: f64,
    /// Of each object with a polygon. Boxes alone can't be copied.
    pub copy_paste: f64,
    /// The last epochs train without mosaic, mixup and copy_paste.
    pub close_mosaic: u32,
    /// How the strengths change over the epochs.
    pub augment_schedule: AugmentSchedule,
    /// Training pictures change their side from batch to batch by up to this share of `imgsz`, in
    /// steps of 32 pixels.
    pub multi_scale: f64,
    /// Share of the training pictures that is used, spread evenly over the sorted list.
    pub fraction: f64,
    /// Class indices whose objects count; objects of others are ignored. Empty: all.
    pub classes: Vec<u32>,
    /// All classes are one, called `item`.
    pub single_cls: bool,
    /// Classes weigh in the loss by their number of objects to the power of minus this.
    pub cls_pw: f64,
    /// Layers that keep their weights and statistics.
    pub freeze: Freeze,
    /// Weights are also kept every so many epochs, as `weights/epochN.safetensors`; below 1 never.
    pub save_period: i32,
    #[serde(flatten)]
    pub nms: Nms,
    #[serde(flatten)]
    pub compute: Compute,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: "yolov12n".into(),
            compat: Compat::None,
            names: Vec::new(),
            epochs: 100,
            patience: 100,
            batch: 16,
            nbs: 64,
            imgsz: 640,
            seed: 0,
            optimizer: OptimizerChoice::Auto,
            lr0: 0.01,
            lrf: 0.01,
            momentum: 0.937,
            weight_decay: 0.0005,
            warmup_epochs: 3.0,
            warmup_momentum: 0.8,
            warmup_bias_lr: 0.1,
            cos_lr: false,
            amp: Amp::Auto,
            max_grad_norm: 10.0,
            ema_decay: 0.9999,
            ema_tau: 2000.0,
            box_gain: 7.5,
            cls_gain: 0.5,
            dfl_gain: 1.5,
            hsv_h: 0.015,
            hsv_s: 0.7,
            hsv_v: 0.4,
            degrees: 0.0,
            translate: 0.1,
            scale: 0.5,
            shear: 0.0,
            perspective: 0.0,
            flipud: 0.0,
            fliplr: 0.5,
            mosaic: 1.0,
            mixup: 0.0,
            copy_paste: 0.0,
            close_mosaic: 10,
            augment_schedule: AugmentSchedule::new(),
            multi_scale: 0.0,
            fraction: 1.0,
            classes: Vec::new(),
            single_cls: false,
            cls_pw: 0.0,
            freeze: Freeze::First(0),
            save_period: -1,
            nms: VAL_NMS,
            compute: Compute::default(),
        }
    }
}

/// Validation keeps nearly every box, for the whole precision-recall curve.
const VAL_NMS: Nms = Nms { conf: 0.001, iou: 0.7, max_det: 300 };

const PREDICT_NMS: Nms = Nms { conf: 0.25, ..VAL_NMS };

/// A validation of given weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValConfig {
    /// Graph and scale of the weights. Comes from the weights.
    pub model: String,
    pub names: Vec<String>,
    pub imgsz: u32,
    /// `train`, `val` or `test`.
    pub split: String,
    /// Class indices that count, of objects and of what is found; empty: all.
    pub classes: Vec<u32>,
    /// All classes are one, called `item`.
    pub single_cls: bool,
    /// Write what is found to `predictions.json`, in the form of COCO's results.
    pub save_json: bool,
    #[serde(flatten)]
    pub nms: Nms,
    #[serde(flatten)]
    pub compute: Compute,
}

impl Default for ValConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            names: Vec::new(),
            imgsz: 640,
            split: "val".into(),
            classes: Vec::new(),
            single_cls: false,
            save_json: false,
            nms: VAL_NMS,
            compute: Compute::default(),
        }
    }
}

/// Detection on pictures without labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PredictConfig {
    /// Graph and scale of the weights. Comes from the weights.
    pub model: String,
    pub names: Vec<String>,
    pub imgsz: u32,
    /// Write pictures with the boxes drawn.
    pub save: bool,
    /// Write `labels/<picture>.txt`: class, box, score.
    pub save_txt: bool,
    /// Write `predictions.json`, in the form of COCO's results.
    pub save_json: bool,
    /// Write each object found as a picture, `crops/<class>/<picture>.jpg`.
    pub save_crop: bool,
    /// Class indices of which objects are found; empty: all.
    pub classes: Vec<u32>,
    #[serde(flatten)]
    pub nms: Nms,
    #[serde(flatten)]
    pub compute: Compute,
}

impl Default for PredictConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            names: Vec::new(),
            imgsz: 640,
            save: true,
            save_txt: false,
            save_json: false,
            save_crop: false,
            classes: Vec::new(),
            nms: PREDICT_NMS,
            compute: Compute::default(),
        }
    }
}

/// Weights written as a graph for other runtimes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportConfig {
    /// Graph and scale of the weights. Comes from the weights.
    pub model: String,
    pub names: Vec<String>,
    /// Side of the square pictures that the graph takes.
    pub imgsz: u32,
    pub format: ExportFormat,
    /// The graph ends with non-maximum suppression, by the settings in `nms`.
    #[serde(rename = "nms")]
    pub suppress: bool,
    #[serde(flatten)]
    pub nms: Nms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    Onnx,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            names: Vec::new(),
            imgsz: 640,
            format: ExportFormat::Onnx,
            suppress: false,
            nms: PREDICT_NMS,
        }
    }
}

/// Which parts of the model keep only their inputs in training and run again in backward: less
/// memory for more time, and the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpointing {
    #[default]
    None,
    /// The layers of area attention.
    Attention,
    /// Every layer.
    Layer,
    /// Every layer, and each level of the head.
    #[serde(rename = "layer+head")]
    LayerHead,
}

impl Checkpointing {
    pub const ALL: [Self; 4] = [Self::None, Self::Attention, Self::Layer, Self::LayerHead];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Attention => "attention",
            Self::Layer => "layer",
            Self::LayerHead => "layer+head",
        }
    }
}

impl FromStr for Checkpointing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| format!("use one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What `checkpointing=` takes: a policy, or `auto` for the fastest one that fits into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AutoCheckpointing {
    Auto,
    Is(Checkpointing),
}

impl AutoCheckpointing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Is(policy) => policy.name(),
        }
    }
}

impl FromStr for AutoCheckpointing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Is).map_err(|reason| format!("{reason}, auto")),
        }
    }
}

impl TryFrom<String> for AutoCheckpointing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AutoCheckpointing> for String {
    fn from(checkpointing: AutoCheckpointing) -> Self {
        checkpointing.name().into()
    }
}

/// Settings of a run that can't change its result: they are recorded, never hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Launch {
    /// The data set's YAML file.
    pub data: Option<String>,
    /// Weights to validate, to predict with, to export, or to start training from.
    pub weights: Option<String>,
    /// Pictures to predict on: a file, a folder or a glob.
    pub source: Option<String>,
    /// A file of settings to use instead of the model's preset.
    pub cfg: Option<String>,
    /// Loader threads.
    pub workers: u32,
    /// Memory for time in training.
    pub checkpointing: AutoCheckpointing,
    /// The most memory that `checkpointing=auto` plans with, like `12GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(deserialize_with = "text")]
    pub device: String,
    /// Folder of run folders; by default `runs/<task>`.
    pub project: Option<String>,
    /// Name of the run folder; by default `exp`, numbered when taken.
    pub name: Option<String>,
    /// Write into an existing run folder of that name.
    pub exist_ok: bool,
    /// Draw curves and sample pictures (train, val).
    pub plots: bool,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            data: None,
            weights: None,
            source: None,
            cfg: None,
            workers: 2,
            checkpointing: AutoCheckpointing::Is(Checkpointing::None),
            memory: None,
            device: "auto".into(),
            project: None,
            name: None,
            exist_ok: false,
            plots: true,
        }
    }
}

/// `device=0` is a number to YAML, `device=0,1` a text.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Number(u32),
        Text(String),
    }
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    })
}

/// Scales of both published graphs.
pub const SCALES: [char; 5] = ['n', 's', 'm', 'l', 'x'];

/// The names that `model=` takes.
pub fn model_names() -> impl Iterator<Item = String> {
    ["yolov12", "yolo12"]
        .into_iter()
        .flat_map(|graph| SCALES.into_iter().map(move |scale| format!("{graph}{scale}")))
}

impl Schema for TrainConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check_model(&self.model)?;
        check_imgsz(self.imgsz)?;
        check_nms(&self.nms)?;
        check_compute(&self.compute)?;
        for (key, value) in [("epochs", self.epochs), ("batch", self.batch), ("nbs", self.nbs)] {
            within(key, f64::from(value), 1.0, 1e6)?;
        }
        for (key, value) in [
            ("lrf", self.lrf),
            ("momentum", self.momentum),
            ("warmup_momentum", self.warmup_momentum),
            ("ema_decay", self.ema_decay),
            ("hsv_h", self.hsv_h),
            ("hsv_s", self.hsv_s),
            ("hsv_v", self.hsv_v),
            ("translate", self.translate),
            ("flipud", self.flipud),
            ("fliplr", self.fliplr),
            ("mosaic", self.mosaic),
            ("mixup", self.mixup),
            ("copy_paste", self.copy_paste),
        ] {
            within(key, value, 0.0, 1.0)?;
        }
        for (key, value) in [
            ("lr0", self.lr0),
            ("weight_decay", self.weight_decay),
            ("warmup_bias_lr", self.warmup_bias_lr),
        ] {
            within(key, value, 0.0, 10.0)?;
        }
        within("scale", self.scale, 0.0, 0.99)?;
        within("degrees", self.degrees, 0.0, 180.0)?;
        within("shear", self.shear, 0.0, 80.0)?;
        within("perspective", self.perspective, 0.0, 0.001)?;
        within("multi_scale", self.multi_scale, 0.0, 0.9)?;
        within("fraction", self.fraction, f64::MIN_POSITIVE, 1.0)?;
        within("cls_pw", self.cls_pw, 0.0, 2.0)?;
        within("save_period", f64::from(self.save_period), -1.0, 1e6)?;
        self.freeze.check()?;
        augmentation::check(&self.augment_schedule)?;
        for (key, value) in [
            ("warmup_epochs", self.warmup_epochs),
            ("box", self.box_gain),
            ("cls", self.cls_gain),
            ("dfl", self.dfl_gain),
        ] {
            within(key, value, 0.0, 1e6)?;
        }
        // RFC 8785 writes every number as a double: beyond 2^53 two seeds would share a hash.
        within("seed", self.seed as f64, 0.0, 9_007_199_254_740_991.0)?;
        within("max_grad_norm", self.max_grad_norm, f64::MIN_POSITIVE, 1e9)?;
        within("ema_tau", self.ema_tau, f64::MIN_POSITIVE, 1e9)
    }
}

impl Schema for ValConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check_imgsz(self.imgsz)?;
        one_of("split", &self.split, ["train", "val", "test"].map(str::to_owned))?;
        check_nms(&self.nms)?;
        check_compute(&self.compute)
    }
}

impl Schema for PredictConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check_imgsz(self.imgsz)?;
        check_nms(&self.nms)?;
        check_compute(&self.compute)
    }
}

impl Schema for ExportConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check_imgsz(self.imgsz)?;
        check_nms(&self.nms)
    }
}

impl Schema for Launch {
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(memory) = &self.memory {
            let size = memory.parse::<MemorySize>();
            size.map_err(|reason| ConfigError::Value { key: "memory".into(), reason })?;
        }
        within("workers", f64::from(self.workers), 1.0, 512.0)
    }
}

fn check_model(model: &str) -> Result<(), ConfigError> {
    one_of("model", model, model_names())
}

fn check_imgsz(imgsz: u32) -> Result<(), ConfigError> {
    within("imgsz", f64::from(imgsz), 32.0, 8192.0)?;
    if imgsz.is_multiple_of(32) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: "imgsz".into(),
        reason: format!("{imgsz} is not a multiple of the largest stride, 32"),
    })
}

fn check_nms(nms: &Nms) -> Result<(), ConfigError> {
    within("conf", nms.conf, 0.0, 1.0)?;
    within("iou", nms.iou, 0.0, 1.0)?;
    within("max_det", f64::from(nms.max_det), 1.0, 100_000.0)
}

fn check_compute(compute: &Compute) -> Result<(), ConfigError> {
    within("threads", f64::from(compute.threads), 1.0, 512.0)
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.into(),
        reason: format!("{value} is outside {low} to {high}"),
    })
}

fn one_of(
    key: &str,
    value: &str,
    allowed: impl IntoIterator<Item = String>,
) -> Result<(), ConfigError> {
    let allowed: Vec<_> = allowed.into_iter().collect();
    if allowed.iter().any(|a| a == value) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.into(),
        reason: format!("`{value}` is not one of {}", allowed.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_yaml_and_keeps_its_hash() {
        let config = Config::Train(TrainConfig::default());
        let yaml = serde_yaml::to_string(&config).unwrap();
        let back: Config = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!(back, config);
        assert_eq!(back.digest(), config.digest());
    }

    #[test]
    fn every_default_is_within_its_range() {
        TrainConfig::default().check().unwrap();
        ValConfig::default().check().unwrap();
        PredictConfig::default().check().unwrap();
        ExportConfig::default().check().unwrap();
        Launch::default().check().unwrap();
    }

    #[test]
    fn layers_are_frozen_by_number_or_by_list_but_never_all() {
        let freeze = |yaml: &str| {
            let values = crate::overrides::parse_preset(yaml)?;
            crate::overrides::resolve(&[values], &[]).map(|config: TrainConfig| config.freeze)
        };
        assert_eq!(freeze("freeze: 2"), Ok(Freeze::First(2)));
        let listed = freeze("freeze: [0, 21]").unwrap();
        assert_eq!([0, 1, 21].map(|layer| listed.covers(layer)), [true, false, true]);
        assert_eq!(freeze("freeze: 22").unwrap_err().to_string(), "freeze: 22 is outside 0 to 21");
        let all = serde_yaml::to_string(&(0..=LAST_LAYER).collect::<Vec<_>>()).unwrap();
        let error = freeze(&format!("freeze:\n{all}")).unwrap_err().to_string();
        assert!(error.starts_with("freeze: every layer is frozen"), "{error}");
    }

    #[test]
    fn refuses_values_out_of_range_by_name() {
        let config = TrainConfig { imgsz: 300, ..Default::default() };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "imgsz: 300 is not a multiple of the largest stride, 32"
        );
        let config = TrainConfig { fliplr: 2.0, ..Default::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "fliplr: 2 is outside 0 to 1");
        let config = TrainConfig { seed: 1 << 53, ..Default::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("seed: 9007199254740992 is"));
        let config = TrainConfig { model: "yolo11n".into(), ..Default::default() };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("model: `yolo11n` is not one of yolov12n")
        );
    }
}
