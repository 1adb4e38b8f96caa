//! ybox makes training YOLOv12 detectors reproducible: images pinned to the byte, hashed runs,
//! verifiable results.

// First: its macros are those of all that follows.
#[macro_use]
mod print;

pub mod cdi;
mod check;
pub mod cli;
mod contents;
mod convert;
pub mod diff;
pub mod doctor;
pub mod engine;
pub mod fetch;
mod http;
pub mod image;
pub mod lock;
mod parallel;
pub mod plan;
pub mod probe;
pub mod record;
pub mod registry;
pub mod replay;
pub mod report;
pub mod run;
pub mod settings;
mod strict;
pub mod synth;
pub mod trust;
pub mod ui;
