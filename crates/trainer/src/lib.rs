//! The YOLOv12 trainer that ybox runs inside its images: training, validation, prediction.

pub mod cli;
pub mod convert;
pub mod data;
pub mod detect;
pub mod draw;
mod emit;
pub mod error;
pub mod eval;
pub mod export;
pub mod job;
mod loading;
pub mod loss;
mod memory;
pub mod model;
mod numerics;
pub mod optim;
pub mod predict;
pub mod pytorch;
pub mod report;
mod scan;
mod stop;
mod tensors;
pub mod train;
pub mod val;
pub mod validate;
pub mod weights;
