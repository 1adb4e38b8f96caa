//! What is attached to stored images: OCI manifests whose `subject` is the image's, listed in one
//! index per image. The image's identity, its config digest, names the list, so that it stays with
//! the image however the layers are compressed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use ybox_spec::{Digest, files};

use super::error::DamagedBlob;
use super::store::parse;
use super::{ImageError, Store, StoredImage, oci};

/// Types of what ybox attaches.
pub const SPDX: &str = super::sbom::MEDIA_TYPE;
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
pub const LOCK: &str = "application/vnd.ybox.lock.v1+yaml";

/// In a list, on an image that was assembled by `ybox build` on this machine.
const BUILT_HERE: &str = "ybox.built-here";

/// A manifest of something small with all that it names, in memory: a document, a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its artifact type; of a manifest without one, what whoever brings it in says.
    pub kind: String,
    pub manifest: Vec<u8>,
    /// Config and layers.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Artifact {
    /// Fails if the blobs are not those that the manifest names.
    pub fn parsed(&self) -> Result<ImageManifest, ImageError> {
        let digest = Digest::of(&self.manifest);
        let what = format!("the attachment {digest}");
        let manifest: ImageManifest = parse(&self.manifest, &what)?;
        let known = |blob: &Descriptor| {
            let digest = oci::digest_of(blob)?;
            let bytes = self.blobs.get(&digest).ok_or(ImageError::MissingBlob(digest))?;
            match Digest::of(bytes) {
                found if found == digest => Ok(()),
                found => {
                    let damage = DamagedBlob { expected: digest, found };
                    Err(ImageError::Damaged(digest, damage))
                }
            }
        };
        manifest.layers().iter().chain([manifest.config()]).try_for_each(known)?;
        Ok(manifest)
    }
}

/// A document to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Both the artifact's type and its one blob's.
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

impl Store {
    /// Puts `attachments` in the store and lists them with `image`, whose manifest is the blob
    /// `subject`. What is listed already stays.
    pub(super) fn attach(
        &self,
        image: &StoredImage,
        attachments: &[Attachment],
        built_here: bool,
    ) -> Result<(), ImageError> {
        let manifest = self.blobs.read(&image.manifest)?;
        let subject = oci::describe(MediaType::ImageManifest, &manifest);
        let mut listed = Vec::new();
        for attachment in attachments {
            listed.push(self.put_attachment(&subject, attachment)?);
        }
        self.list(&image.config, listed, built_here)
    }

    /// The manifests that are attached to an image, sorted by digest.
    pub fn attached(&self, image: &StoredImage) -> Result<Vec<Descriptor>, ImageError> {
        Ok(self.attachments_of(&image.config)?.manifests().clone())
    }

    /// Every blob that what is attached to an image consists of.
    pub(super) fn attached_blobs(&self, image: &StoredImage) -> Result<Vec<Digest>, ImageError> {
        let mut blobs = Vec::new();
        for descriptor in self.attached(image)? {
            let digest = oci::digest_of(&descriptor)?;
            let what = format!("the attachment {digest}");
            let manifest: ImageManifest = parse(&self.blobs.read(&digest)?, &what)?;
            blobs.extend([digest, oci::digest_of(manifest.config())?]);
            for layer in manifest.layers() {
                blobs.push(oci::digest_of(layer)?);
            }
        }
        Ok(blobs)
    }

    /// All that is attached to an image, read and checked.
    pub fn artifacts(&self, image: &StoredImage) -> Result<Vec<Artifact>, ImageError> {
        let artifact = |descriptor: &Descriptor| {
            let digest = oci::digest_of(descriptor)?;
            let bytes = self.blobs.read(&digest)?;
            let manifest: ImageManifest = parse(&bytes, &format!("the attachment {digest}"))?;
            let mut blobs = BTreeMap::new();
            for blob in manifest.layers().iter().chain([manifest.config()]) {
                let digest = oci::digest_of(blob)?;
                blobs.insert(digest, self.blobs.read(&digest)?);
            }
            let kind = descriptor.artifact_type().as_ref().map(|kind| kind.to_string());
            Ok(Artifact { kind: kind.unwrap_or_default(), manifest: bytes, blobs })
        };
        self.attached(image)?.iter().map(artifact).collect()
    }

    /// Attaches artifacts that came from elsewhere. What they say is not checked, only that they
    /// are whole.
    pub fn take_in(&self, image: &StoredImage, artifacts: &[Artifact]) -> Result<(), ImageError> {
        let place = self.layout.display();
        let failed = || ImageError::io(format!("write what is attached to the image to {place}"));
        let mut listed = Vec::new();
        for artifact in artifacts {
            artifact.parsed()?;
            for bytes in artifact.blobs.values().chain([&artifact.manifest]) {
                self.blobs.put(bytes).map_err(failed())?;
            }
            let mut descriptor = oci::describe(MediaType::ImageManifest, &artifact.manifest);
            descriptor.set_artifact_type(Some(MediaType::from(artifact.kind.as_str())));
            listed.push(descriptor);
        }
        match listed.is_empty() {
            true => Ok(()),
            false => self.list(&image.config, listed, false),
        }
    }

    /// Whether the store has a manifest of that digest whose config is `config`.
    pub fn is_manifest_of(&self, manifest: &Digest, config: &Digest) -> bool {
        let parsed = self
            .blobs
            .read(manifest)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<ImageManifest>(&bytes).ok());
        parsed.is_some_and(|m| oci::digest_of(m.config()).is_ok_and(|found| found == *config))
    }

    /// The content of the first attachment of that type, checked; nothing if there is none.
    pub fn attached_document(
        &self,
        image: &StoredImage,
        kind: &str,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        let attached = self.attached(image)?;
        let fits = |d: &&Descriptor| d.artifact_type().as_ref().is_some_and(|t| t.as_ref() == kind);
        let Some(descriptor) = attached.iter().find(fits) else { return Ok(None) };
        let digest = oci::digest_of(descriptor)?;
        let what = format!("the attachment {digest}");
        let manifest: ImageManifest = parse(&self.blobs.read(&digest)?, &what)?;
        let layer = manifest.layers().first();
        let layer = layer.ok_or_else(|| ImageError::malformed(&what, "it has no content"))?;
        self.blobs.read(&oci::digest_of(layer)?).map(Some)
    }

    /// Whether `ybox build` assembled this image on this machine.
    pub fn was_built_here(&self, image: &StoredImage) -> Result<bool, ImageError> {
        let list = self.attachments_of(&image.config)?;
        Ok(list.annotations().as_ref().is_some_and(|a| a.contains_key(BUILT_HERE)))
    }

    fn put_attachment(
        &self,
        subject: &Descriptor,
        attachment: &Attachment,
    ) -> Result<Descriptor, ImageError> {
        let place = self.layout.display();
        let failed = || ImageError::io(format!("write what is attached to the image to {place}"));
        let put = |bytes: &[u8]| self.blobs.put(bytes).map_err(failed());
        put(oci::EMPTY)?;
        put(&attachment.bytes)?;
        let content = oci::describe(MediaType::from(attachment.kind), &attachment.bytes);
        let mut manifest =
            oci::manifest(oci::describe(MediaType::EmptyJSON, oci::EMPTY), vec![content]);
        manifest.set_artifact_type(Some(MediaType::from(attachment.kind)));
        manifest.set_subject(Some(subject.clone()));
        let bytes = oci::bytes(&manifest);
        put(&bytes)?;
        let mut descriptor = oci::describe(MediaType::ImageManifest, &bytes);
        descriptor.set_artifact_type(manifest.artifact_type().clone());
        Ok(descriptor)
    }

    /// Adds manifests that are among the blobs to an image's list.
    pub(super) fn list(
        &self,
        config: &Digest,
        new: Vec<Descriptor>,
        built_here: bool,
    ) -> Result<(), ImageError> {
        let place = self.layout.display();
        let failed = || ImageError::io(format!("list what is attached to the image in {place}"));
        let lock = self.lock()?;
        let mut list = self.attachments_of(config)?;
        let mut manifests = list.manifests().clone();
        manifests.extend(new);
        manifests.sort_by_key(|d| d.digest().to_string());
        manifests.dedup_by_key(|d| d.digest().to_string());
        list.set_manifests(manifests);
        if built_here {
            list.set_annotations(Some([(BUILT_HERE.to_owned(), "true".to_owned())].into()));
        }
        let path = self.attachment_list(config);
        fs::create_dir_all(path.parent().expect("it lies in a folder"))
            .and_then(|()| files::write_atomic(&path, &oci::bytes(&list)))
            .map_err(failed())?;
        drop(lock);
        Ok(())
    }

    fn attachments_of(&self, config: &Digest) -> Result<ImageIndex, ImageError> {
        match fs::read(self.attachment_list(config)) {
            Ok(bytes) => parse(&bytes, "the list of what is attached to an image"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(oci::index(Vec::new())),
            Err(e) => Err(ImageError::io("list what is attached to an image")(e)),
        }
    }

    fn attachment_list(&self, config: &Digest) -> PathBuf {
        self.layout.join("attached").join(format!("{}.json", config.hex()))
    }
}
