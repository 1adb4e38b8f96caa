//! Reading a host's small files.

use std::fs;
use std::path::Path;

/// The text of a file below `root`, or why it can't be had.
pub fn read(root: &Path, path: &str) -> Result<String, String> {
    fs::read_to_string(root.join(path)).map_err(|error| format!("/{path}: {error}"))
}
