//! The recipe of a training.

use serde::{Deserialize, Serialize};

use super::compute::{Compute, check_compute};
use super::inference::{Nms, VAL_NMS, check_nms};
use super::ranges::{above_zero, check_imgsz, check_model, one_or_more, within};
use crate::amp::Amp;
use crate::augmentation::{self, AugmentSchedule};
use crate::overrides::{ConfigError, Schema, Values};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerChoice {
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "SGD", alias = "sgd")]
    Sgd,
    #[serde(rename = "AdamW", alias = "adamw")]
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
    /// Longer side of the training image in pixels; a multiple of 32.
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
    /// Pictures of similar shape make a batch, in the smallest rectangle that holds them, and are
    /// not mixed; without, pictures are square.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rect: bool,
    /// Share of the training pictures that is used, spread evenly over the sorted list.
    pub fraction: f64,
    /// Class indices whose objects count; objects of others are ignored. Empty: all.
    #[serde(deserialize_with = "one_or_more")]
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
            rect: false,
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

impl Schema for TrainConfig {
    fn unwritten() -> Values {
        let rect = ("rect".to_owned(), false.into());
        Compute::unwritten().into_iter().chain([rect]).collect()
    }

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
        above_zero("fraction", self.fraction, 1.0)?;
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
        above_zero("max_grad_norm", self.max_grad_norm, 1e9)?;
        above_zero("ema_tau", self.ema_tau, 1e9)
    }
}
