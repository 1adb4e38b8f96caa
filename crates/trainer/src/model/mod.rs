//! YOLOv12 (Tian, Ye, Doermann: "YOLOv12: Attention-Centric Real-Time Object Detectors", 2025),
//! both published graphs at all five scales.
//!
//! One file per building block, bottom up: `conv`, `bottleneck`, `attention`, `detect`; `graph`
//! says how they are joined, `checkpoint` what runs again in backward to save memory, `yolo12` is
//! the assembled model. State-dict names and shapes equal
//! the published ones. Losses, post-processing and training are left to others.
//!
//! Shapes are `[N, C, H, W]`: images, channels, rows, columns. `k` is a kernel's side, `s` a stride.

mod attention;
mod bottleneck;
mod checkpoint;
mod conv;
mod detect;
mod graph;
mod init;
mod params;
mod spec;
mod yolo12;

pub use crate::anchors::STRIDES;
pub(crate) use attention::{HEAD_DIM, attend};
pub(crate) use conv::NORM_EPS;
pub use detect::{BOX_CHANNELS, DFL_BINS, decode};
pub use params::{Buffer, Parameter, ParameterKind, StateDictError};
pub use spec::{Graph, ModelSpec, Scale, SpecError};
pub use yolo12::{ModelError, Yolo12};

/// Which statistics batch normalisation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch, with which the running ones are updated.
    Train,
    /// Those of the batch; the running ones stay as they are: forward has updated them, and this is
    /// a part of the model that runs again in backward.
    Recompute,
    /// The running ones.
    Eval,
}
