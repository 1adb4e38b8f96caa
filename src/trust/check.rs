//! Whether an image of the store, or one about to come into it, or a run is to be believed.

use ybox_spec::Digest;

use super::cosign::{Collection, Kind};
use super::{Evidence, Policy, Refusal, Trust, TrustError};
use crate::image::{Artifact, ImageError, Reference, Store, StoredImage};
use crate::settings::Settings;

impl Policy {
    /// The policy that the settings name; nothing where there is none.
    pub fn of(settings: &Settings) -> Result<Option<Self>, TrustError> {
        settings.trust.as_deref().map(Self::read).transpose()
    }

    /// Whether the stored image may be run. What signed it may be another manifest of the same
    /// content: its config names all of that.
    pub fn admit(&self, store: &Store, image: &StoredImage) -> Result<Trust, TrustError> {
        let signatures = store.artifacts_of(image, Kind::Signatures.media_type())?;
        let manifests = store.manifests_of(image)?;
        let evidence = Evidence::gather(store, &image.config, manifests, &signatures)?;
        let reference: Reference = image.reference.parse()?;
        self.judge(&reference.name, &evidence)
    }

    /// The decision about an image of `repository`, as an error where it is refused.
    pub fn judge(&self, repository: &str, evidence: &Evidence) -> Result<Trust, TrustError> {
        self.decide(repository, evidence).map_err(|refusal| self.refused(repository, refusal))
    }

    /// The same about a run of `repository`.
    pub fn judge_run(&self, repository: &str, evidence: &Evidence) -> Result<Trust, TrustError> {
        let refused = |refusal| self.refused(&format!("the run of {repository}"), refusal);
        self.decide(repository, evidence).map_err(refused)
    }

    fn refused(&self, what: &str, refusal: Refusal) -> TrustError {
        let (what, policy) = (what.to_owned(), self.path.clone());
        TrustError::Refused { what, policy, refusal: Box::new(refusal) }
    }
}

impl Evidence {
    /// What is known of the image `config`, of the store or about to come into it, that has
    /// `manifests` and `artifacts`. It counts as built here where the store notes that its content
    /// was, by whatever way it comes.
    pub fn gather(
        store: &Store,
        config: &Digest,
        manifests: Vec<Digest>,
        artifacts: &[Artifact],
    ) -> Result<Self, ImageError> {
        let signatures = Collection::gathered(Kind::Signatures, artifacts).signed();
        Ok(Self { manifests, signatures, built_here: store.was_built_here(config)? })
    }
}

/// Whether ybox keeps what came along with an image that has `manifests`: documents and signatures
/// that say that they are about it.
pub fn belongs(artifact: &Artifact, manifests: &[Digest]) -> bool {
    match Collection::of(artifact) {
        Some(collection) => !collection.about(manifests).is_empty(),
        None => Artifact::is_document(artifact.kind()) && artifact.is_about(manifests),
    }
}
