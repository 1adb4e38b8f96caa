//! Loading an image, without the layers that the engine already has where it allows that.

use std::collections::BTreeSet;

use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptions};
use futures_util::StreamExt;
use ybox_spec::Digest;

use super::{Docker, is_not_found};
use crate::engine::EngineError;
use crate::image::{Archive, StoredImage};
use crate::ui::Failure;

impl Docker {
    /// Loads `image` unless it is there: by delta, and in full where the engine refuses that.
    pub(super) fn load(&self, image: &StoredImage) -> Result<(), Failure> {
        let id = self.id(image)?;
        if self.has(&id)? {
            return Ok(());
        }
        let present = self.present_layers(image)?;
        if !present.is_empty() {
            let delta = Archive::new(&self.store, image, &present)?;
            if self.send(delta).is_ok() && self.has(&id)? {
                return Ok(());
            }
        }
        let complete = Archive::new(&self.store, image, &BTreeSet::new())?;
        self.send(complete).map_err(self.refused(format!("load {}", image.reference)))?;
        match self.has(&id)? {
            true => Ok(()),
            false => Err(EngineError::WrongImage {
                engine: self.facts.kind,
                reference: image.reference.clone(),
                wanted: id,
            }
            .into()),
        }
    }

    /// The id by which the engine runs `image`, if it has it.
    pub(super) fn loaded_id(&self, image: &StoredImage) -> Result<Option<String>, Failure> {
        let id = self.id(image)?;
        Ok(self.has(&id)?.then_some(id))
    }

    /// What the engine calls the image: containerd's store names it by its manifest, others by its
    /// config.
    fn id(&self, image: &StoredImage) -> Result<String, Failure> {
        if !self.facts.containerd_store {
            return Ok(image.config.to_string());
        }
        let archive = Archive::new(&self.store, image, &BTreeSet::new())?;
        Ok(archive.manifest().to_string())
    }

    /// Whether the engine could run the image with this id.
    fn has(&self, id: &str) -> Result<bool, EngineError> {
        let found = match self.runtime.block_on(self.api.inspect_image(id)) {
            Ok(found) => found.id.as_deref() == Some(id) || self.facts.kind == "podman",
            Err(error) if is_not_found(&error) => false,
            Err(error) => return Err(self.refused("look for the image")(error)),
        };
        Ok(found && (!self.facts.containerd_store || self.is_complete(id)?))
    }

    /// containerd's store keeps the record of an image of which it could not unpack a layer. Only
    /// the history tells, which needs every layer.
    fn is_complete(&self, id: &str) -> Result<bool, EngineError> {
        match self.runtime.block_on(self.api.image_history(id)) {
            // An image without a history gets `null`, which isn't what the API promises.
            Ok(_) | Err(Error::JsonDataError { .. }) => Ok(true),
            Err(Error::DockerResponseServerError { .. }) => Ok(false),
            Err(error) => Err(self.refused("look at the image's layers")(error)),
        }
    }

    /// The DiffIDs of `image`'s lowest layers that some image of the engine has, too.
    fn present_layers(&self, image: &StoredImage) -> Result<BTreeSet<Digest>, Failure> {
        let wanted: Vec<Digest> =
            self.store.layers(image)?.into_iter().map(|layer| layer.diff_id).collect();
        let chains = self.runtime.block_on(self.chains());
        let common = shared(&wanted, &chains.map_err(self.refused("list the images"))?);
        Ok(wanted.into_iter().take(common).collect())
    }

    /// The layers of each image that the engine has, lowest first.
    async fn chains(&self) -> Result<Vec<Vec<String>>, Error> {
        let mut chains = Vec::new();
        for summary in self.api.list_images(None::<ListImagesOptions>).await? {
            // One that was removed meanwhile has no layers to offer.
            if let Ok(image) = self.api.inspect_image(&summary.id).await {
                chains.extend(image.root_fs.and_then(|root| root.layers));
            }
        }
        Ok(chains)
    }

    fn send(&self, archive: Archive) -> Result<(), Error> {
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        self.runtime.block_on(async {
            let mut answers =
                self.api.import_image_stream(options, archive.into_stream(), None).boxed();
            while let Some(answer) = answers.next().await {
                answer?;
            }
            Ok(())
        })
    }
}

/// How many of `wanted`, counted from the lowest, form the beginning of some chain: engines know
/// layers by all that lies below them.
fn shared(wanted: &[Digest], chains: &[Vec<String>]) -> usize {
    let common = |chain: &Vec<String>| {
        wanted.iter().zip(chain).take_while(|(ours, theirs)| ours.to_string() == **theirs).count()
    };
    chains.iter().map(common).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_chain_from_the_lowest_layer_on_is_shared() {
        let digests: Vec<_> = ["a", "b", "c"].map(|text| Digest::of(text.as_bytes())).into();
        let [a, b, c] = [0, 1, 2].map(|i: usize| digests[i].to_string());
        assert_eq!(shared(&digests, &[]), 0);
        assert_eq!(shared(&digests, &[vec![b.clone(), c.clone()]]), 0);
        assert_eq!(shared(&digests, &[vec![a.clone(), c.clone()], vec![a.clone()]]), 1);
        assert_eq!(shared(&digests, &[vec![a.clone()], vec![a.clone(), b.clone(), b]]), 2);
        assert_eq!(shared(&digests, &[vec![a, digests[1].to_string(), c]]), 3);
    }
}
