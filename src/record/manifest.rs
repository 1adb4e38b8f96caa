//! A run as an OCI artifact: a manifest whose layers are the files of the run folder, and whose subject
//! is the image that it ran in. Moving it is `registry`'s.

use oci_spec::image::{Descriptor, ImageManifest, ImageManifestBuilder, MediaType};
use ybox_spec::Digest;
use ybox_spec::record::Artifact;

use super::folder::file;
use super::parcel::{Parcel, ParcelError, refuse_outside};
use crate::image::oci;
use crate::strict;

/// The artifact type of a run.
pub const RUN_TYPE: &str = "application/vnd.ybox.run.v1";
const RECORD_TYPE: &str = "application/vnd.ybox.run.record.v1+json";
const FILE_TYPE: &str = "application/vnd.ybox.run.file.v1";
/// The name that a file has when it is unpacked (OCI image specification).
const TITLE: &str = "org.opencontainers.image.title";
const RUN_HASH: &str = "ybox.run";

/// What a run consists of. Its digest is what signatures name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunManifest {
    pub bytes: Vec<u8>,
    /// The manifest of the image that it ran in.
    pub image: Digest,
    pub files: Vec<Artifact>,
}

impl RunManifest {
    /// Of a run folder that ran in `image`: the same bytes for the same files.
    pub fn of(parcel: &Parcel, image: Descriptor) -> Result<Self, ParcelError> {
        Self::parse(oci::bytes(&manifest(parcel, image)))
    }

    /// Reads the manifest of a run. Nothing that it says is trusted but through digests.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ParcelError> {
        let what = format!("the run {}", Digest::of(&bytes));
        let malformed = |why: &dyn ToString| ParcelError::malformed(&what, why);
        let manifest: ImageManifest = strict::parse(&bytes).map_err(|e| malformed(&e))?;
        if !Self::is_run(&manifest) {
            return Err(malformed(&"it is something else than a run"));
        }
        let subject = manifest.subject().as_ref().ok_or_else(|| malformed(&"it has no image"))?;
        let digest_of = |descriptor| oci::digest_of(descriptor).map_err(|e| malformed(&e));
        let mut files: Vec<Artifact> = Vec::new();
        for layer in manifest.layers() {
            let title = layer.annotations().as_ref().and_then(|annotations| annotations.get(TITLE));
            let path = title.ok_or_else(|| malformed(&"a file has no name"))?;
            refuse_outside(path)?;
            if files.iter().any(|file| file.path == *path) {
                return Err(malformed(&format!("`{path}` is there twice")));
            }
            let sha256 = digest_of(layer)?;
            files.push(Artifact { path: path.clone(), size: layer.size(), sha256 });
        }
        if !files.iter().any(|file| file.path == file::RECORD) {
            return Err(malformed(&"it has no record"));
        }
        let image = digest_of(subject)?;
        Ok(Self { bytes, image, files })
    }

    pub fn is_run(manifest: &ImageManifest) -> bool {
        let kind = manifest.artifact_type().as_ref().map(MediaType::to_string);
        kind.as_deref() == Some(RUN_TYPE)
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

fn manifest(parcel: &Parcel, image: Descriptor) -> ImageManifest {
    let layer = |file: &Artifact| {
        let kind = if file.path == file::RECORD { RECORD_TYPE } else { FILE_TYPE };
        let mut layer = oci::descriptor(MediaType::from(kind), &file.sha256, file.size);
        layer.set_annotations(Some([(TITLE.to_owned(), file.path.clone())].into()));
        layer
    };
    let mut subject = image;
    subject.set_annotations(None);
    ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type(MediaType::from(RUN_TYPE))
        .config(oci::describe(MediaType::EmptyJSON, oci::EMPTY))
        .layers(parcel.files.iter().map(layer).collect::<Vec<_>>())
        .subject(subject)
        .annotations([(RUN_HASH.to_owned(), parcel.record.run_hash.to_string())])
        .build()
        .expect("all required fields are set")
}
