//! What the writers of labels are given of a picture.

use std::path::PathBuf;

use ybox_labels::ExactObject;

/// A picture of the new set.
pub struct Entry<'a> {
    /// Where it is.
    pub source: PathBuf,
    /// Its new file name.
    pub name: String,
    pub size: (u32, u32),
    pub objects: &'a [ExactObject],
}
