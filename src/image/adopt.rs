//! Images that were not built here: from a registry or an archive, their blobs in the store already.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest, MediaType};

use super::packing::Packing;
use super::store::parse;
use super::{ImageError, Reference, Store, StoredImage, oci};

/// Docker's name of what OCI calls config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The manifest of a stored image: what it says, its bytes, and how others refer to it.
pub struct Described {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
    pub manifest: ImageManifest,
}

impl Store {
    /// Names an image whose config and layers are in the store. Refused if something is missing, or
    /// does not fit together.
    pub fn add(
        &self,
        reference: &Reference,
        media_type: MediaType,
        manifest: &[u8],
    ) -> Result<StoredImage, ImageError> {
        let described = oci::describe(media_type, manifest);
        let what = format!("the manifest {}", described.digest());
        let parsed: ImageManifest = parse(manifest, &what)?;
        oci::blobs(&parsed).try_for_each(|blob| self.check_there(blob))?;
        for layer in parsed.layers() {
            Packing::of(layer.media_type(), layer.digest().as_ref())?;
        }
        let config = oci::digest_of(parsed.config())?;
        self.check_config(&config, &parsed)?;
        let failed = ImageError::io("write the image's manifest to the store");
        let digest = self.blobs.put(manifest).map_err(failed)?;
        let reference = reference.of(digest);
        self.tag(&reference, described, &config)?;
        Ok(StoredImage { reference: reference.short(), manifest: digest, config })
    }

    /// Gives an image of the store one more name.
    pub fn name(
        &self,
        image: &StoredImage,
        reference: &Reference,
    ) -> Result<StoredImage, ImageError> {
        let Described { descriptor, bytes, .. } = self.described(image)?;
        self.add(reference, descriptor.media_type().clone(), &bytes)
    }

    /// The manifest as others are to see it.
    pub fn described(&self, image: &StoredImage) -> Result<Described, ImageError> {
        let bytes = self.manifest_bytes(image)?;
        let manifest: ImageManifest = parse(&bytes, &format!("the manifest {}", image.manifest))?;
        let media_type = manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
        Ok(Described { descriptor: oci::describe(media_type, &bytes), bytes, manifest })
    }

    /// The manifest as it is stored.
    pub fn manifest_bytes(&self, image: &StoredImage) -> Result<Vec<u8>, ImageError> {
        self.blobs.read(&image.manifest)
    }

    fn check_there(&self, blob: &Descriptor) -> Result<(), ImageError> {
        let digest = oci::digest_of(blob)?;
        match std::fs::metadata(self.blob(&digest)) {
            Ok(found) if found.len() == blob.size() => Ok(()),
            _ => Err(ImageError::MissingBlob(digest)),
        }
    }

    fn check_config(
        &self,
        digest: &ybox_spec::Digest,
        manifest: &ImageManifest,
    ) -> Result<(), ImageError> {
        let what = format!("the config {digest}");
        let config: ImageConfiguration = parse(&self.blobs.read(digest)?, &what)?;
        oci::paired(manifest, &config, &what).map(drop)
    }
}
