//! An image from a registry into the store. A tag is looked up once: what follows goes by digests,
//! so a tag that moves meanwhile changes nothing.

use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use ybox_spec::Digest;

use super::{Fetched, Landing, Place, RegistryError, Repository, Version};
use crate::image::{DOCKER_CONFIG, LARGEST_DOCUMENT, Reference, Store, StoredImage, oci};
use crate::ui::download::Progress;

/// Blobs on their way at once.
pub(super) const PARALLEL: usize = 4;
/// Far more than engines take.
const MOST_LAYERS: usize = 512;

/// An image of a registry, its manifest read and checked, its layers not yet.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What the name stands for: the digest of the manifest, or of an index of several platforms.
    pub named: Digest,
    pub manifest: Fetched,
    parsed: ImageManifest,
}

/// What a pull brought.
#[derive(Debug, Clone)]
pub struct Pulled {
    pub image: StoredImage,
    /// Bytes that came from the registry; the others were there.
    pub received: u64,
    pub size: u64,
}

impl Remote {
    pub(super) fn config(&self) -> &Descriptor {
        self.parsed.config()
    }
}

impl Repository {
    /// Looks an image up. Of an index, the manifest for Linux on this machine's architecture.
    pub async fn find_image(&self, place: &Place) -> Result<Remote, RegistryError> {
        let found = self.pull_manifest(&place.version()).await?;
        let named = found.digest;
        let manifest = match found.is_index() {
            true => {
                let fitting = fitting(&found.index()?, &place.to_string())?;
                self.pull_manifest(&Version::Digest(fitting)).await?
            }
            false => found,
        };
        let parsed = manifest.manifest()?;
        check_image(&parsed, &place.to_string())?;
        Ok(Remote { named, manifest, parsed })
    }

    /// Brings an image into the store under the name `local`. The name appears when all of it is
    /// there; what was there before is not fetched.
    pub async fn pull_image(
        &self,
        remote: &Remote,
        store: &Store,
        local: &Reference,
        progress: &Progress,
    ) -> Result<Pulled, RegistryError> {
        let blobs = blobs(&remote.parsed)?;
        let fetch = |(digest, size, name): (Digest, u64, String)| async move {
            let landing = Landing::in_store(store, &digest);
            let bar = progress.lazy(&name, size);
            let came = self.pull_blob(&digest, size, &landing, &bar).await?;
            bar.finish();
            Ok::<u64, RegistryError>(if came { size } else { 0 })
        };
        let size = blobs.iter().map(|(_, size, _)| size).sum();
        let received: Vec<u64> =
            stream::iter(blobs).map(fetch).buffer_unordered(PARALLEL).try_collect().await?;
        let media_type = MediaType::from(remote.manifest.media_type.as_str());
        let image = store.add(local, media_type, &remote.manifest.bytes)?;
        Ok(Pulled { image, received: received.iter().sum(), size })
    }
}

/// The entry for Linux on this machine's architecture.
fn fitting(index: &ImageIndex, what: &str) -> Result<Digest, RegistryError> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |entry: &&Descriptor| {
        entry.platform().as_ref().is_some_and(|platform| {
            platform.os().to_string() == "linux"
                && platform.architecture().to_string() == architecture
        })
    };
    let only = |index: &ImageIndex| match index.manifests().as_slice() {
        [only] if only.platform().is_none() => Some(only.clone()),
        _ => None,
    };
    let entry = index.manifests().iter().find(fits).cloned().or_else(|| only(index));
    let entry = entry.ok_or_else(|| {
        RegistryError::malformed(what, format!("it has no image for linux/{architecture}"))
    })?;
    Ok(oci::digest_of(&entry)?)
}

fn check_image(manifest: &ImageManifest, what: &str) -> Result<(), RegistryError> {
    let config = manifest.config().media_type();
    if *config != MediaType::ImageConfig && config.to_string() != DOCKER_CONFIG {
        let found = manifest.artifact_type().as_ref().unwrap_or(config).to_string();
        return Err(RegistryError::MediaType { what: what.to_owned(), found });
    }
    let refuse = |why: String| Err(RegistryError::malformed(what, why));
    match manifest.layers().len() {
        count if count > MOST_LAYERS => refuse(format!("it has {count} layers")),
        _ if manifest.config().size() > LARGEST_DOCUMENT => {
            refuse(format!("its config has {} bytes", manifest.config().size()))
        }
        _ => Ok(()),
    }
}

/// Digest, size and name of each blob, once, the largest first.
pub(super) fn blobs(manifest: &ImageManifest) -> Result<Vec<(Digest, u64, String)>, RegistryError> {
    let count = manifest.layers().len();
    let layer = |(number, layer): (usize, &Descriptor)| {
        Ok((oci::digest_of(layer)?, layer.size(), format!("layer {} of {count}", number + 1)))
    };
    let config = manifest.config();
    let mut blobs = vec![(oci::digest_of(config)?, config.size(), "config".to_owned())];
    let layers: Result<Vec<_>, RegistryError> =
        manifest.layers().iter().enumerate().map(layer).collect();
    for blob in layers? {
        match blobs.iter().find(|known| known.0 == blob.0) {
            Some(known) if known.1 != blob.1 => {
                let why = format!("two sizes for {}", blob.0);
                return Err(RegistryError::malformed("the image's manifest", why));
            }
            Some(_) => {}
            None => blobs.push(blob),
        }
    }
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.1));
    Ok(blobs)
}
