//! What `ybox` and its trainer agree on: the configuration schema, how things are hashed, and the
//! files of a run folder. Both sides meet only here and in those files.
//!
//! Nothing in this crate talks to a network, an engine or a GPU; it reads and writes files at most.

pub mod amp;
pub mod architecture;
pub mod augmentation;
pub mod batch;
pub mod canonical;
pub mod chain;
pub mod checkpoint;
pub mod config;
pub mod dataset;
pub mod digest;
pub mod events;
pub mod exit;
pub mod files;
pub mod footprint;
pub mod intervention;
pub mod manifest;
pub mod memory;
pub mod overrides;
pub mod pictures;
pub mod record;
pub mod results;
pub mod scale;
pub mod shortage;
pub mod weights;

pub use digest::Digest;
