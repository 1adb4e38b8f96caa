//! What people see: errors, progress, tables. Nothing here decides anything.

mod failure;

pub use failure::{Explain, Failure};
