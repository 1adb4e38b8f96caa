//! The OCI documents of an image, and their one serialisation: RFC 8785, so that the digests don't
//! depend on the order of fields. Field meanings: the OCI image specification, version 1.1.

use std::collections::HashMap;

use oci_spec::image::{
    Arch, Config, Descriptor, DescriptorBuilder, ImageConfiguration, ImageConfigurationBuilder,
    ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType, Os,
    RootFsBuilder, Sha256Digest,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, canonical};

use super::ImageError;

/// A time that says nothing: images don't know when they were made.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// The document of the type [`MediaType::EmptyJSON`].
pub const EMPTY: &[u8] = b"{}";
const COMPLETE: &str = "all required fields are set";

/// What goes into an image's config.
pub struct Contents {
    pub architecture: String,
    pub environment: Vec<String>,
    pub entrypoint: Vec<String>,
    pub labels: HashMap<String, String>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// What tells a manifest from an index.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outline {
    pub media_type: Option<String>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

impl Outline {
    /// Whether it could be read as manifest and as index: two things under one digest.
    pub fn is_both(&self) -> bool {
        self.layers.is_some() && self.manifests.is_some()
    }
}

/// The bytes of a document.
pub fn bytes<T: Serialize>(document: &T) -> Vec<u8> {
    canonical::to_bytes(document)
}

pub fn configuration(contents: Contents) -> ImageConfiguration {
    let mut config = Config::default();
    config.set_env(Some(contents.environment));
    config.set_entrypoint(Some(contents.entrypoint));
    config.set_labels(Some(contents.labels));
    config.set_working_dir(Some("/".into()));
    let rootfs = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(contents.diff_ids.iter().map(Digest::to_string).collect::<Vec<_>>())
        .build()
        .expect(COMPLETE);
    ImageConfigurationBuilder::default()
        .created(CREATED)
        .architecture(Arch::from(contents.architecture.as_str()))
        .os(Os::Linux)
        .config(config)
        .rootfs(rootfs)
        .build()
        .expect(COMPLETE)
}

pub fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> ImageManifest {
    ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .expect(COMPLETE)
}

pub fn index(manifests: Vec<Descriptor>) -> ImageIndex {
    ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .expect(COMPLETE)
}

pub fn descriptor(media_type: MediaType, digest: &Digest, size: u64) -> Descriptor {
    let digest: Sha256Digest = digest.hex().parse().expect("64 hex digits");
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(digest)
        .size(size)
        .build()
        .expect(COMPLETE)
}

/// A descriptor of a document that is stored as `bytes`.
pub fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    descriptor(media_type, &Digest::of(bytes), bytes.len() as u64)
}

/// What a manifest names: layers, then config.
pub fn blobs(manifest: &ImageManifest) -> impl Iterator<Item = &Descriptor> {
    manifest.layers().iter().chain([manifest.config()])
}

/// Each layer with the digest that the config gives its content, lowest first; `what` has both.
pub fn paired<'a>(
    manifest: &'a ImageManifest,
    config: &ImageConfiguration,
    what: &str,
) -> Result<Vec<(&'a Descriptor, Digest)>, ImageError> {
    let (layers, diff_ids) = (manifest.layers(), config.rootfs().diff_ids());
    if layers.len() != diff_ids.len() {
        let why = format!("{} layers, {} DiffIDs", layers.len(), diff_ids.len());
        return Err(ImageError::malformed(what, why));
    }
    let pair = |(layer, diff_id): (&'a Descriptor, &String)| Ok((layer, parse_digest(diff_id)?));
    layers.iter().zip(diff_ids).map(pair).collect()
}

/// The digest that a descriptor names, which must be a SHA-256.
pub fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    parse_digest(descriptor.digest().as_ref())
}

pub fn parse_digest(text: &str) -> Result<Digest, ImageError> {
    text.parse().map_err(|e| ImageError::malformed(format!("the digest `{text}`"), e))
}
