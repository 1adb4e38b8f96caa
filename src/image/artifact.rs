//! Something small that is attached to an image, in memory: a document, a signature. Whoever may push
//! an image or make an archive may attach anything: here is how much of it is looked at.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageManifest};
use ybox_spec::Digest;

use super::error::DamagedBlob;
use super::store::parse;
use super::{ImageError, oci};

/// Types of what ybox attaches.
pub const SPDX: &str = super::sbom::MEDIA_TYPE;
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
pub const LOCK: &str = "application/vnd.ybox.lock.v1+yaml";

/// Documents that are brought along with an image; others are left where they are.
const DOCUMENTS: [&str; 3] = [SPDX, IN_TOTO, LOCK];
const MOST_BLOBS: usize = 64;

/// A manifest with all that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    kind: String,
    bytes: Vec<u8>,
    manifest: ImageManifest,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Artifact {
    /// So many documents of an image are looked at.
    pub const MOST: usize = 8;
    /// Bytes of one: it is read into memory.
    pub const LARGEST: u64 = 32 << 20;

    /// Of the manifest `bytes`. `kind` is its artifact type; of a manifest without one, what whoever
    /// brings it in says. Fails if `blobs` are not those that the manifest names.
    pub fn new(
        kind: impl Into<String>,
        bytes: Vec<u8>,
        blobs: BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Self, ImageError> {
        let manifest = parsed(&bytes)?;
        oci::blobs(&manifest).try_for_each(|blob| check(blob, &blobs))?;
        Ok(Self { kind: kind.into(), bytes, manifest, blobs })
    }

    /// The same, its blobs read by `read`.
    pub(super) fn gather(
        kind: impl Into<String>,
        bytes: Vec<u8>,
        read: impl Fn(&Descriptor) -> Result<Vec<u8>, ImageError>,
    ) -> Result<Self, ImageError> {
        let manifest = parsed(&bytes)?;
        let blob = |blob| Ok((oci::digest_of(blob)?, read(blob)?));
        let blobs = oci::blobs(&manifest).map(blob).collect::<Result<_, ImageError>>()?;
        oci::blobs(&manifest).try_for_each(|blob| check(blob, &blobs))?;
        Ok(Self { kind: kind.into(), bytes, manifest, blobs })
    }

    /// Bytes that what `manifest` names has by its own word; the error says why it is not looked at.
    pub fn size(manifest: &ImageManifest) -> Result<u64, String> {
        let size = oci::blobs(manifest).map(Descriptor::size).fold(0, u64::saturating_add);
        let count = oci::blobs(manifest).count();
        match count > MOST_BLOBS || size > Self::LARGEST {
            true => Err(format!("it has {count} blobs, {size} bytes in all")),
            false => Ok(size),
        }
    }

    /// Whether artifacts of that type are documents that ybox brings along.
    pub fn is_document(kind: &str) -> bool {
        DOCUMENTS.contains(&kind)
    }

    /// Whether it says that it belongs to an image that has one of `manifests`.
    pub fn is_about(&self, manifests: &[Digest]) -> bool {
        let subject = self.manifest.subject().as_ref().and_then(|s| oci::digest_of(s).ok());
        subject.is_some_and(|subject| manifests.contains(&subject))
    }

    pub fn kind(&self) -> &str {
        &self.kind
    }

    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    pub fn manifest_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What the manifest names, with its content: layers, then config.
    pub fn blobs(&self) -> impl Iterator<Item = (&Descriptor, &[u8])> {
        let content = |blob: &Descriptor| {
            let digest = oci::digest_of(blob).expect("checked when it was made");
            self.blobs[&digest].as_slice()
        };
        oci::blobs(&self.manifest).map(move |blob| (blob, content(blob)))
    }

    /// The same of its layers alone.
    pub fn layers(&self) -> impl Iterator<Item = (&Descriptor, &[u8])> {
        self.blobs().take(self.manifest.layers().len())
    }
}

fn parsed(bytes: &[u8]) -> Result<ImageManifest, ImageError> {
    parse(bytes, &format!("the attachment {}", Digest::of(bytes)))
}

fn check(blob: &Descriptor, blobs: &BTreeMap<Digest, Vec<u8>>) -> Result<(), ImageError> {
    let digest = oci::digest_of(blob)?;
    let bytes = blobs.get(&digest).ok_or(ImageError::MissingBlob(digest))?;
    match Digest::of(bytes) {
        found if found == digest => Ok(()),
        found => Err(ImageError::Damaged(digest, DamagedBlob { expected: digest, found })),
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::image::MediaType;

    use super::*;

    #[test]
    fn what_is_read_into_memory_is_bounded() {
        let of = |sizes: &[u64]| {
            let layer =
                |size: &u64| oci::descriptor(MediaType::from(LOCK), &Digest::of(b""), *size);
            let config = oci::describe(MediaType::ImageConfig, b"");
            Artifact::size(&oci::manifest(config, sizes.iter().map(layer).collect()))
        };
        assert_eq!(of(&[Artifact::LARGEST]), Ok(Artifact::LARGEST));
        assert!(of(&[Artifact::LARGEST, 1]).is_err());
        assert!(of(&[u64::MAX, u64::MAX]).is_err());
        assert_eq!(of(&[1; 63]), Ok(63));
        assert!(of(&[1; 64]).is_err(), "the config counts");
    }

    #[test]
    fn an_artifact_with_other_blobs_than_it_names_is_refused() {
        let layer = oci::describe(MediaType::from(LOCK), b"lock");
        let config = oci::describe(MediaType::ImageConfig, b"{}");
        let manifest = oci::bytes(&oci::manifest(config, vec![layer]));
        let whole: BTreeMap<_, _> =
            [&b"lock"[..], b"{}"].map(|bytes| (Digest::of(bytes), bytes.to_vec())).into();
        assert!(Artifact::new(LOCK, manifest.clone(), whole.clone()).is_ok());
        for digest in whole.keys() {
            let mut blobs = whole.clone();
            blobs.insert(*digest, b"other".to_vec());
            let damaged = Artifact::new(LOCK, manifest.clone(), blobs.clone());
            assert!(matches!(damaged, Err(ImageError::Damaged(..))));
            blobs.remove(digest);
            let missing = Artifact::new(LOCK, manifest.clone(), blobs);
            assert!(matches!(missing, Err(ImageError::MissingBlob(_))));
        }
    }
}
