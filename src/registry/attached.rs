//! What goes with an image, to and from a registry: its documents as referrers, signatures and
//! signed statements under the tags where cosign looks for them.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use ybox_spec::Digest;

use super::{Pulled, RegistryError, Remote, Repository, Version};
use crate::image::{
    Artifact, IN_TOTO, LARGEST_DOCUMENT, LOCK, Reference, SPDX, Store, StoredImage, oci,
};
use crate::trust::cosign::{self, ATTESTATIONS, Collection, SIGNATURES};
use crate::trust::{Evidence, Policy, PrivateKey, TrustError, signatures};
use crate::ui::download::Progress;

/// Documents that are brought along; others are left in the registry.
const DOCUMENTS: [&str; 3] = [SPDX, IN_TOTO, LOCK];
/// Whoever may push may attach any number: so many are looked at.
const MOST_ARTIFACTS: usize = 8;
const MOST_LAYERS: usize = 64;
/// Artifacts are read into memory.
const LARGEST_ARTIFACT: u64 = 32 << 20;

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
            let digest = Digest::of(&artifact.manifest).to_string();
            let there = listed.iter().any(|d| d.digest().as_ref() == digest);
            if !there && is_about(artifact, &image.manifest)? {
                self.push_blobs(artifact).await?;
                self.attach(&artifact.manifest, None).await?;
            }
        }
        let mut signatures = Collection::signatures();
        let mut attestations = Collection::attestations();
        for artifact in &artifacts {
            match artifact.kind.as_str() {
                SIGNATURES => &mut signatures,
                ATTESTATIONS => &mut attestations,
                _ => continue,
            }
            .merge(&Collection::of(artifact)?.about(&image.manifest));
        }
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
            let manifests = vec![remote.manifest.digest];
            let signatures = signatures(&attached)?;
            let evidence = Evidence { manifests, signatures, built_here: false };
            policy.judge(&self.name(), &evidence)?;
        }
        let pulled = self.pull_image(remote, store, local, progress).await?;
        store.take_in(&pulled.image, &attached)?;
        Ok(pulled)
    }

    /// What is attached to the image `manifest`: signatures first. None of it is believed yet.
    pub async fn pull_attached(&self, manifest: &Digest) -> Result<Vec<Artifact>, RegistryError> {
        let mut artifacts = Vec::new();
        for kind in [SIGNATURES, ATTESTATIONS] {
            artifacts.extend(self.pull_collection(manifest, kind).await?);
        }
        let document = |d: Descriptor| {
            let kind = d.artifact_type().as_ref().map(MediaType::to_string)?;
            DOCUMENTS.contains(&kind.as_str()).then_some((d, kind))
        };
        let listed = self.referrers(manifest, None).await?.into_iter();
        for (descriptor, kind) in listed.filter_map(document).take(MOST_ARTIFACTS) {
            let version = Version::Digest(oci::digest_of(&descriptor)?);
            let artifact = self.pull_artifact(&version, kind).await?;
            let artifact =
                artifact.ok_or_else(|| RegistryError::NotFound(self.called(&version)))?;
            if is_about(&artifact, manifest)? {
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
            let manifest = artifact.parsed()?;
            let Some(layer) = manifest.layers().first() else { continue };
            let document = &artifact.blobs[&oci::digest_of(layer)?];
            let statement = match artifact.kind.as_str() {
                _ if !is_about(artifact, &image.manifest)? => continue,
                IN_TOTO => document.clone(),
                SPDX => cosign::bill_statement(&self.name(), &image.manifest, document)?,
                _ => continue,
            };
            attestations.attest(&statement, &cosign::predicate_type(&statement)?, key);
        }
        Ok(())
    }

    /// Adds to what the registry has; returns all of it, nothing if there is none.
    async fn push_collection(
        &self,
        manifest: &Digest,
        ours: Collection,
    ) -> Result<Option<Artifact>, RegistryError> {
        let kind = ours.kind();
        let there = self.pull_collection(manifest, kind).await?;
        let mut all = there.as_ref().map(Collection::of).transpose()?;
        let all = all.get_or_insert_with(|| Collection::empty(kind));
        if !all.merge(&ours) {
            return Ok(there);
        }
        let artifact = all.to_artifact();
        self.push_blobs(&artifact).await?;
        let version = Version::Tag(cosign::tag(manifest, kind));
        self.push_manifest(&version, super::manifest::OCI_MANIFEST, &artifact.manifest).await?;
        Ok(Some(artifact))
    }

    async fn pull_collection(
        &self,
        manifest: &Digest,
        kind: &str,
    ) -> Result<Option<Artifact>, RegistryError> {
        let version = Version::Tag(cosign::tag(manifest, kind));
        self.pull_artifact(&version, kind.to_owned()).await
    }

    /// An artifact with all its blobs; nothing if there is none.
    async fn pull_artifact(
        &self,
        version: &Version,
        kind: String,
    ) -> Result<Option<Artifact>, RegistryError> {
        let Some(found) = self.find_manifest(version).await? else { return Ok(None) };
        let manifest: ImageManifest = found.manifest()?;
        let named = || manifest.layers().iter().chain([manifest.config()]);
        let size = named().map(Descriptor::size).fold(0, u64::saturating_add);
        if named().count() > MOST_LAYERS || size > LARGEST_ARTIFACT {
            let why = format!("it has {} blobs, {size} bytes in all", named().count());
            return Err(RegistryError::malformed(self.called(version), why));
        }
        let mut blobs = BTreeMap::new();
        for blob in named() {
            let digest = oci::digest_of(blob)?;
            let limit = blob.size().min(LARGEST_DOCUMENT);
            blobs.insert(digest, self.pull_bytes(&digest, limit).await?);
        }
        Ok(Some(Artifact { kind, manifest: found.bytes, blobs }))
    }

    async fn push_blobs(&self, artifact: &Artifact) -> Result<(), RegistryError> {
        let manifest = artifact.parsed()?;
        for blob in manifest.layers().iter().chain([manifest.config()]) {
            let bytes = artifact.blobs[&oci::digest_of(blob)?].clone();
            self.push_bytes(blob.media_type().clone(), bytes).await?;
        }
        Ok(())
    }
}

/// Whether the artifact says that it belongs to the image `manifest`.
fn is_about(artifact: &Artifact, manifest: &Digest) -> Result<bool, crate::image::ImageError> {
    let parsed = artifact.parsed()?;
    let subject = parsed.subject().as_ref().map(oci::digest_of).transpose()?;
    Ok(subject.is_some_and(|subject| subject == *manifest))
}
