//! What is attached to stored images: OCI manifests whose `subject` is the image's, listed in one
//! index per image. The image's identity, its config digest, names the list, so that it stays with
//! the image however the layers are compressed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use ybox_spec::{Digest, files};

use super::blobs::LARGEST_DOCUMENT;
use super::store::parse;
use super::{Artifact, ImageError, Store, StoredImage, oci};

/// In a list, on an image that was assembled by `ybox build` on this machine.
const BUILT_HERE: &str = "ybox.built-here";
/// In a list, digests of further manifests of the image, with spaces between them: signatures may
/// name them.
const SIBLINGS: &str = "ybox.manifests";

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
        self.list(&image.config, listed, |notes| {
            notes.extend(built_here.then(|| (BUILT_HERE.to_owned(), "true".to_owned())));
        })
    }

    /// The manifests that are attached to an image, sorted by digest.
    pub fn attached(&self, image: &StoredImage) -> Result<Vec<Descriptor>, ImageError> {
        Ok(self.attachments_of(&image.config)?.manifests().clone())
    }

    /// Manifests whose content is the image's, its own first: those of the store's index, and those
    /// that came with an archive. What signs one of them signs the image.
    pub fn manifests_of(&self, image: &StoredImage) -> Result<Vec<Digest>, ImageError> {
        let same = self.images()?.into_iter().filter(|other| other.config == image.config);
        let mut others: BTreeSet<_> = same.map(|other| other.manifest).collect();
        others.extend(self.siblings(&image.config)?);
        others.remove(&image.manifest);
        Ok([image.manifest].into_iter().chain(others).collect())
    }

    /// Every blob that what is attached to an image consists of, and its further manifests.
    pub(super) fn attached_blobs(&self, image: &StoredImage) -> Result<Vec<Digest>, ImageError> {
        let mut blobs = self.siblings(&image.config)?;
        for descriptor in self.attached(image)? {
            let digest = oci::digest_of(&descriptor)?;
            blobs.push(digest);
            for blob in oci::blobs(&self.attached_manifest(&digest)?) {
                blobs.push(oci::digest_of(blob)?);
            }
        }
        Ok(blobs)
    }

    /// All that is attached to an image, read and checked.
    pub fn artifacts(&self, image: &StoredImage) -> Result<Vec<Artifact>, ImageError> {
        self.attached(image)?.iter().map(|descriptor| self.artifact(descriptor)).collect()
    }

    /// What is attached to an image under the type `kind`, read and checked. The rest is not opened.
    pub fn artifacts_of(
        &self,
        image: &StoredImage,
        kind: &str,
    ) -> Result<Vec<Artifact>, ImageError> {
        let attached = self.attached(image)?;
        attached.iter().filter(|d| kind_of(d) == kind).map(|d| self.artifact(d)).collect()
    }

    fn artifact(&self, descriptor: &Descriptor) -> Result<Artifact, ImageError> {
        let bytes = self.blobs.read(&oci::digest_of(descriptor)?)?;
        let read = |blob: &Descriptor| self.blobs.read(&oci::digest_of(blob)?);
        Artifact::gather(kind_of(descriptor), bytes, read)
    }

    fn attached_manifest(&self, digest: &Digest) -> Result<ImageManifest, ImageError> {
        parse(&self.blobs.read(digest)?, &format!("the attachment {digest}"))
    }

    /// Attaches artifacts that came from elsewhere. What they say is not checked.
    pub fn take_in(&self, image: &StoredImage, artifacts: &[Artifact]) -> Result<(), ImageError> {
        let place = self.layout.display();
        let failed = || ImageError::io(format!("write what is attached to the image to {place}"));
        let mut listed = Vec::new();
        for artifact in artifacts {
            let blobs = artifact.blobs().map(|(_, bytes)| bytes);
            for bytes in blobs.chain([artifact.manifest_bytes()]) {
                self.blobs.put(bytes).map_err(failed())?;
            }
            let mut descriptor = oci::describe(MediaType::ImageManifest, artifact.manifest_bytes());
            descriptor.set_artifact_type(Some(MediaType::from(artifact.kind())));
            listed.push(descriptor);
        }
        match listed.is_empty() {
            true => Ok(()),
            false => self.list(&image.config, listed, |_| ()),
        }
    }

    /// Lists further manifests of the image `config`, which are among the blobs.
    pub(super) fn list_siblings(
        &self,
        config: &Digest,
        manifests: &[Digest],
    ) -> Result<(), ImageError> {
        if manifests.is_empty() {
            return Ok(());
        }
        self.list(config, Vec::new(), |notes| {
            let note = notes.entry(SIBLINGS.to_owned()).or_default();
            let mut all: BTreeSet<_> = note.split_whitespace().map(str::to_owned).collect();
            all.extend(manifests.iter().map(Digest::to_string));
            *note = all.into_iter().collect::<Vec<_>>().join(" ");
        })
    }

    fn siblings(&self, config: &Digest) -> Result<Vec<Digest>, ImageError> {
        let list = self.attachments_of(config)?;
        let listed = list.annotations().as_ref().and_then(|a| a.get(SIBLINGS));
        listed.into_iter().flat_map(|l| l.split_whitespace()).map(oci::parse_digest).collect()
    }

    /// The content of the first attachment of that type, checked; nothing if there is none.
    pub fn attached_document(
        &self,
        image: &StoredImage,
        kind: &str,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        let attached = self.attached(image)?;
        let Some(descriptor) = attached.iter().find(|d| kind_of(d) == kind) else {
            return Ok(None);
        };
        let digest = oci::digest_of(descriptor)?;
        let manifest = self.attached_manifest(&digest)?;
        let nothing = || ImageError::malformed(format!("the attachment {digest}"), "it is empty");
        let layer = manifest.layers().first().ok_or_else(nothing)?;
        self.blobs.read(&oci::digest_of(layer)?).map(Some)
    }

    /// Whether `ybox build` assembled the image `config` on this machine.
    pub fn was_built_here(&self, config: &Digest) -> Result<bool, ImageError> {
        let list = self.attachments_of(config)?;
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
        let size = attachment.bytes.len() as u64;
        if size > LARGEST_DOCUMENT {
            let why = format!("it has {size} bytes, {LARGEST_DOCUMENT} are read at most");
            return Err(ImageError::malformed(
                format!("what is attached as {}", attachment.kind),
                why,
            ));
        }
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

    /// Adds manifests that are among the blobs to an image's list, and changes its annotations.
    fn list(
        &self,
        config: &Digest,
        new: Vec<Descriptor>,
        annotate: impl FnOnce(&mut HashMap<String, String>),
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
        let mut notes = list.annotations().clone().unwrap_or_default();
        annotate(&mut notes);
        list.set_annotations((!notes.is_empty()).then_some(notes));
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

/// The artifact type that an image's list gives; empty if it gives none.
fn kind_of(descriptor: &Descriptor) -> &str {
    descriptor.artifact_type().as_ref().map_or("", MediaType::as_ref)
}

#[cfg(test)]
mod tests {
    use super::super::SPDX;
    use super::*;

    #[test]
    fn a_document_that_could_not_be_read_again_is_not_attached() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::under(dir.path()).unwrap();
        let subject = oci::describe(MediaType::ImageManifest, b"");
        for (size, fits) in [(LARGEST_DOCUMENT, true), (LARGEST_DOCUMENT + 1, false)] {
            let bytes = vec![b' '; usize::try_from(size).unwrap()];
            let put = store.put_attachment(&subject, &Attachment { kind: SPDX, bytes });
            let read = put.and_then(|descriptor| store.artifact(&descriptor));
            assert_eq!(read.is_ok(), fits, "{size} bytes");
        }
    }

    #[test]
    fn notes_of_an_image_stay_beside_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::under(dir.path()).unwrap();
        let [config, one, two] = [&b"config"[..], b"one", b"two"].map(Digest::of);
        store.list_siblings(&config, &[one]).unwrap();
        let note = |notes: &mut HashMap<_, _>| _ = notes.insert(BUILT_HERE.into(), "true".into());
        store.list(&config, Vec::new(), note).unwrap();
        store.list_siblings(&config, &[two, one]).unwrap();
        assert!(store.was_built_here(&config).unwrap());
        assert_eq!(store.siblings(&config).unwrap().len(), 2);
    }
}
