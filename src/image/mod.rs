//! Images: assembling layers from locked inputs, the OCI store that keeps them, and archives that
//! engines load. Running them is `engine`'s.

mod adopt;
mod ar;
mod archive;
mod arrival;
mod artifact;
mod assemble;
mod attachments;
mod base;
mod blobs;
mod carry;
mod check;
mod content;
mod contents;
mod deb;
mod driver;
mod elf;
mod error;
mod fit;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod garbage;
mod hashing;
mod input;
mod layer;
mod misfit;
pub(crate) mod oci;
mod pack;
mod packing;
mod planned;
mod provenance;
mod reference;
mod rootfs;
mod sbom;
mod sections;
mod shared_object;
mod stamp;
mod stand_in;
mod statement;
mod store;
mod symbols;
mod trees;
mod unpack;
mod usage;
mod wheel;

use ybox_spec::Digest;

pub use adopt::{DOCKER_CONFIG, Described};
pub use archive::Archive;
pub use arrival::Arrival;
pub use artifact::{Artifact, IN_TOTO, LOCK, SPDX};
pub use assemble::{Assembly, Built, BuiltLayer, LOCK_LABEL, RECIPE_LABEL, Watch};
pub use attachments::Attachment;
pub use blobs::LARGEST_DOCUMENT;
pub use check::{Problem, ProblemCode};
pub use contents::LayerFile;
pub use elf::soname;
pub use error::ImageError;
pub use input::InputError;
pub use layer::{PACKER_REVISION, TreeError};
pub use misfit::Misfit;
pub use reference::Reference;
pub use rootfs::Unpacked;
pub use statement::{sha256 as sha256_of, statement};
pub use store::{Store, StoredLayer};

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

impl StoredImage {
    /// The reference with the manifest's digest.
    pub fn pinned(&self) -> String {
        let name = match self.reference.rsplit_once('@') {
            Some((name, _)) => name,
            None => &self.reference,
        };
        format!("{name}@{}", self.manifest)
    }
}

/// A reference without the digest of an image that has no tag any more.
pub fn short_reference(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(name, _)| name)
}
