//! The files that a manifest lists, held against their digests.

use std::fs;
use std::path::Path;

use ybox_spec::Digest;

use super::DataError;

/// The content of a file, which must be what was hashed.
pub fn read_checked(root: &Path, path: &str, sha256: Digest) -> Result<Vec<u8>, DataError> {
    let path = root.join(path);
    let bytes = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    if Digest::of(&bytes) != sha256 {
        return Err(DataError::Changed { path });
    }
    Ok(bytes)
}
