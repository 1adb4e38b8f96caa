//! The tasks that take weights: validation, prediction, export.

use serde::{Deserialize, Serialize};

use super::compute::{Compute, check_compute};
use super::ranges::{check_imgsz, one_of, one_or_more, within};
use crate::overrides::{ConfigError, Schema, Values};

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

/// Validation keeps nearly every box, for the whole precision-recall curve.
pub(super) const VAL_NMS: Nms = Nms { conf: 0.001, iou: 0.7, max_det: 300 };

pub(super) const PREDICT_NMS: Nms = Nms { conf: 0.25, ..VAL_NMS };

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
    #[serde(deserialize_with = "one_or_more")]
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
    #[serde(deserialize_with = "one_or_more")]
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

impl Schema for ValConfig {
    fn unwritten() -> Values {
        Compute::unwritten()
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_imgsz(self.imgsz)?;
        one_of("split", &self.split, ["train", "val", "test"].map(str::to_owned))?;
        check_nms(&self.nms)?;
        check_compute(&self.compute)
    }
}

impl Schema for PredictConfig {
    fn unwritten() -> Values {
        Compute::unwritten()
    }

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

pub(super) fn check_nms(nms: &Nms) -> Result<(), ConfigError> {
    within("conf", nms.conf, 0.0, 1.0)?;
    within("iou", nms.iou, 0.0, 1.0)?;
    within("max_det", f64::from(nms.max_det), 1.0, 100_000.0)
}
