//! What people see: errors, progress, tables. Nothing here decides anything.

pub mod download;
mod failure;

pub use failure::{Explain, Failure};
