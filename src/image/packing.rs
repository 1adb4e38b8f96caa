//! How the layers of images are compressed, by their media types.

use oci_spec::image::MediaType;

use super::ImageError;

/// Docker's names of what OCI calls layer and gzip layer.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_GZIP_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// Refused if it is none that ybox reads.
    pub fn of(media_type: &MediaType, layer: &str) -> Result<Self, ImageError> {
        match media_type {
            MediaType::ImageLayer => Ok(Self::Plain),
            MediaType::ImageLayerGzip => Ok(Self::Gzip),
            MediaType::ImageLayerZstd => Ok(Self::Zstd),
            MediaType::Other(other) if other == DOCKER_LAYER => Ok(Self::Plain),
            MediaType::Other(other) if other == DOCKER_GZIP_LAYER => Ok(Self::Gzip),
            other => {
                let why = format!("its media type is {other}");
                Err(ImageError::malformed(format!("layer {layer}"), why))
            }
        }
    }
}
