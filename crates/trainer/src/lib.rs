//! The YOLOv12 trainer that ybox runs inside its images.

pub mod cli;
pub mod data;
pub mod draw;
pub mod eval;
pub mod loss;
pub mod optim;
pub mod report;
