//! What goes with an image, to and from a registry: its documents as referrers, signatures and
//! signed statements under the tags where cosign looks for them.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use ybox_spec::Digest;

use super::{Pulled, RegistryError, Remote, Repository, Version};
use crate::image::{Artifact, IN_TOTO, LARGEST_DOCUMENT, Reference, SPDX, Store, StoredImage, oci};
use crate::trust::cosign::{self, Collection, Kind};
use crate::trust::{Evidence, Policy, PrivateKey, TrustError, belongs};
use crate::ui::download::Progress;

impl Repository {
    /// Sends what is attached to an image of the registry, signed by `key` if there is one. What
    /// others attached and signed stays.
    pub async fn push_attached(
        &self,
        store: &Store,
        image: &StoredImage,
        key: Option<&PrivateKey>,
    ) -> Result<(), RegistryError> {
        let artifacts = store.artifacts(image)?;
        let listed = self.referrers(&image.manifest, None).await?;
        for artifact in &artifacts {
            let digest = artifact.digest().to_string();
            let there = listed.iter().any(|d| d.digest().as_ref() == digest);
            if !there && artifact.is_about(&[image.manifest]) {
                self.push_blobs(artifact).await?;
                self.attach(artifact.manifest_bytes(), None).await?;
            }
        }
        let [mut signatures, mut attestations] =
            Kind::ALL.map(|kind| Collection::gathered(kind, &artifacts).about(&[image.manifest]));
        if let Some(key) = key {
            signatures.sign(&self.name(), image.manifest, key);
            self.attest(&mut attestations, &artifacts, image, key)?;
        }
        let mut kept = Vec::new();
        for collection in [signatures, attestations] {
            kept.extend(self.push_collection(&image.manifest, collection).await?);
        }
        Ok(store.take_in(image, &kept)?)
    }

    /// Brings an image into the store with what is attached to it, if `policy` admits it.
    pub async fn pull_admitted(
        &self,
        remote: &Remote,
        store: &Store,
        local: &Reference,
        policy: Option<&Policy>,
        progress: &Progress,
    ) -> Result<Pulled, RegistryError> {
        let attached = self.pull_attached(&remote.manifest.digest).await?;
        if let Some(policy) = policy {
            let config = oci::digest_of(remote.config())?;
            let manifests = vec![remote.manifest.digest];
            let evidence = Evidence::gather(store, &config, manifests, &attached)?;
            policy.judge(&self.name(), &evidence)?;
        }
        let pulled = self.pull_image(remote, store, local, progress).await?;
        store.take_in(&pulled.image, &attached)?;
        Ok(pulled)
    }

    /// What is attached to the image `manifest`: signatures first. None of it is believed yet.
    pub async fn pull_attached(&self, manifest: &Digest) -> Result<Vec<Artifact>, RegistryError> {
        let mut artifacts = Vec::new();
        for kind in Kind::ALL {
            artifacts.extend(self.pull_collection(manifest, kind).await?);
        }
        let document = |descriptor: Descriptor| {
            let kind = descriptor.artifact_type().as_ref().map(MediaType::to_string)?;
            Artifact::is_document(&kind).then_some((descriptor, kind))
        };
        let listed = self.referrers(manifest, None).await?.into_iter();
        for (descriptor, kind) in listed.filter_map(document).take(Artifact::MOST) {
            let version = Version::Digest(oci::digest_of(&descriptor)?);
            let artifact = self.pull_artifact(&version, &kind).await?;
            let artifact =
                artifact.ok_or_else(|| RegistryError::NotFound(self.called(&version)))?;
            if belongs(&artifact, &[*manifest]) {
                artifacts.push(artifact);
            }
        }
        Ok(artifacts)
    }

    /// Signs provenance and bill of materials as statements.
    fn attest(
        &self,
        attestations: &mut Collection,
        artifacts: &[Artifact],
        image: &StoredImage,
        key: &PrivateKey,
    ) -> Result<(), TrustError> {
        for artifact in artifacts {
            let Some((_, document)) = artifact.layers().next() else { continue };
            let statement = match artifact.kind() {
                _ if !artifact.is_about(&[image.manifest]) => continue,
                IN_TOTO => document.to_vec(),
                SPDX => cosign::bill_statement(&self.name(), &image.manifest, document)?,
                _ => continue,
            };
            attestations.attest(&statement, &cosign::predicate_type(&statement)?, key);
        }
        Ok(())
    }

    /// Adds to what the registry has; returns all of it, nothing if there is none.
    pub(super) async fn push_collection(
        &self,
        manifest: &Digest,
        ours: Collection,
    ) -> Result<Option<Artifact>, RegistryError> {
        let kind = ours.kind();
        let there = self.pull_collection(manifest, kind).await?;
        let mut all = Collection::gathered(kind, there.as_slice());
        if !all.merge(&ours) {
            return Ok(there);
        }
        let artifact = all.to_artifact();
        self.push_blobs(&artifact).await?;
        let version = Version::Tag(kind.tag(manifest));
        self.push_manifest(&version, super::manifest::OCI_MANIFEST, artifact.manifest_bytes())
            .await?;
        Ok(Some(artifact))
    }

    pub(super) async fn pull_collection(
        &self,
        manifest: &Digest,
        kind: Kind,
    ) -> Result<Option<Artifact>, RegistryError> {
        let version = Version::Tag(kind.tag(manifest));
        self.pull_artifact(&version, kind.media_type()).await
    }

    /// An artifact with all its blobs; nothing if there is none.
    async fn pull_artifact(
        &self,
        version: &Version,
        kind: &str,
    ) -> Result<Option<Artifact>, RegistryError> {
        let Some(found) = self.find_manifest(version).await? else { return Ok(None) };
        let manifest: ImageManifest = found.manifest()?;
        let too_large = |why: String| RegistryError::malformed(self.called(version), why);
        Artifact::size(&manifest).map_err(too_large)?;
        let mut blobs = BTreeMap::new();
        for blob in oci::blobs(&manifest) {
            let digest = oci::digest_of(blob)?;
            let limit = blob.size().min(LARGEST_DOCUMENT);
            blobs.insert(digest, self.pull_bytes(&digest, limit).await?);
        }
        Ok(Some(Artifact::new(kind, found.bytes, blobs)?))
    }

    async fn push_blobs(&self, artifact: &Artifact) -> Result<(), RegistryError> {
        for (blob, bytes) in artifact.blobs() {
            self.push_bytes(blob.media_type().clone(), bytes.to_vec()).await?;
        }
        Ok(())
    }
}
