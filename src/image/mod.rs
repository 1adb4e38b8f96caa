//! Images: assembling layers from locked inputs, the OCI store that keeps them, and archives that
//! engines load. Running them is `engine`'s.

use ybox_spec::Digest;

/// An image of the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Name and tag, e.g. `ybox/cpu:latest`.
    pub reference: String,
    /// Digest of the manifest: what registries name.
    pub manifest: Digest,
    /// Digest of the config: the image's identity whatever the compression.
    pub config: Digest,
}
