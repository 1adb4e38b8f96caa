//! An image of the store to a registry: first its blobs, as many at once as is useful, then the
//! manifest that names them.

use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use ybox_spec::Digest;

use super::pull::{PARALLEL, blobs};
use super::upload::Pushed;
use super::{Place, RegistryError, Repository, Version};
use crate::image::{Described, Store, StoredImage};
use crate::ui::download::Progress;

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Bytes sent, mounted from another repository, and there already.
    pub sent: u64,
    pub mounted: u64,
    pub there: u64,
}

impl Repository {
    /// Sees to it that the registry has the image, and all that it is made of, under its digest.
    pub async fn push_image(
        &self,
        store: &Store,
        image: &StoredImage,
        progress: &Progress,
    ) -> Result<Sent, RegistryError> {
        let described = store.described(image)?;
        let blobs = blobs(&described.manifest)?;
        let mut total = Sent::default();
        if self.has_manifest(&image.manifest).await? {
            // A registry takes a manifest only when it has what it names.
            total.there = blobs.iter().map(|blob| blob.1).sum();
            return Ok(total);
        }
        let elsewhere = self.elsewhere(store)?;
        let send = |blob| self.send_blob(store, blob, &elsewhere, progress);
        let done: Vec<_> =
            stream::iter(blobs).map(send).buffer_unordered(PARALLEL).try_collect().await?;
        done.into_iter().for_each(|(pushed, size)| total.count(pushed, size));
        self.put_image(&Version::Digest(image.manifest), &described).await?;
        Ok(total)
    }

    /// Gives an image that the repository has a tag.
    pub async fn tag_image(
        &self,
        store: &Store,
        image: &StoredImage,
        tag: &str,
    ) -> Result<(), RegistryError> {
        self.put_image(&Version::Tag(tag.to_owned()), &store.described(image)?).await
    }

    async fn put_image(
        &self,
        version: &Version,
        Described { descriptor, bytes, .. }: &Described,
    ) -> Result<(), RegistryError> {
        let media_type = descriptor.media_type().to_string();
        self.push_manifest(version, &media_type, bytes).await.map(|_| ())
    }

    async fn send_blob(
        &self,
        store: &Store,
        (digest, size, name): (Digest, u64, String),
        elsewhere: &[(String, Vec<PathBuf>)],
        progress: &Progress,
    ) -> Result<(Pushed, u64), RegistryError> {
        let path = store.blob(&digest);
        let has_it = |(_, blobs): &&(String, Vec<PathBuf>)| blobs.contains(&path);
        let from: Vec<_> = elsewhere.iter().filter(has_it).map(|(name, _)| name.clone()).collect();
        let bar = progress.lazy(&name, size);
        let pushed = self.push_file((&digest, size), &path, &from, &bar).await?;
        bar.finish();
        Ok((pushed, size))
    }

    /// The other repositories of this registry that images of the store are named after, and the
    /// blobs that they should have.
    fn elsewhere(&self, store: &Store) -> Result<Vec<(String, Vec<PathBuf>)>, RegistryError> {
        let mut found: Vec<(String, Vec<PathBuf>)> = Vec::new();
        for image in store.images()? {
            let Ok(place) = image.reference.parse::<Place>() else { continue };
            if place.host != self.host() || place.name() == self.name() {
                continue;
            }
            // A damaged image is nothing to mount from.
            let Ok(blobs) = store.blobs_of(&image) else { continue };
            let blobs = blobs.iter().map(|digest| store.blob(digest));
            match found.iter_mut().find(|(name, _)| *name == place.repository) {
                Some((_, known)) => known.extend(blobs),
                None => found.push((place.repository, blobs.collect())),
            }
        }
        Ok(found)
    }
}

impl Sent {
    pub(super) fn count(&mut self, pushed: Pushed, size: u64) {
        *match pushed {
            Pushed::AlreadyThere => &mut self.there,
            Pushed::Mounted => &mut self.mounted,
            Pushed::Sent => &mut self.sent,
        } += size;
    }
}
