//! Whether an image of the store, or one about to come into it, is to be believed.

use super::cosign::{Collection, SIGNATURES};
use super::{Evidence, Policy, Signed, Trust, TrustError};
use crate::image::{Artifact, Reference, Store, StoredImage};
use crate::settings::Settings;

impl Policy {
    /// The policy that the settings name; nothing where there is none.
    pub fn of(settings: &Settings) -> Result<Option<Self>, TrustError> {
        settings.trust.as_deref().map(Self::read).transpose()
    }

    /// Whether the stored image may be run. What signed it may be another manifest of the same
    /// content: its config names all of that.
    pub fn admit(&self, store: &Store, image: &StoredImage) -> Result<Trust, TrustError> {
        let signatures = signatures(&store.artifacts(image)?)?;
        let mut manifests = vec![image.manifest];
        for payload in signatures.iter().filter_map(|s| super::Payload::parse(&s.payload).ok()) {
            let signed = payload.manifest();
            if store.is_manifest_of(&signed, &image.config) {
                manifests.push(signed);
            }
        }
        let built_here = store.was_built_here(image)?;
        let reference: Reference = image.reference.parse()?;
        self.judge(&reference.name, &Evidence { manifests, signatures, built_here })
    }

    /// The decision about an image of `repository`, as an error where it is refused.
    pub fn judge(&self, repository: &str, evidence: &Evidence) -> Result<Trust, TrustError> {
        self.decide(repository, evidence).map_err(|refusal| TrustError::Refused {
            image: repository.to_owned(),
            policy: self.path.clone(),
            refusal: Box::new(refusal),
        })
    }
}

/// The signatures among what is attached to an image.
pub fn signatures(artifacts: &[Artifact]) -> Result<Vec<Signed>, TrustError> {
    let mut signed = Vec::new();
    for artifact in artifacts.iter().filter(|artifact| artifact.kind == SIGNATURES) {
        signed.extend(Collection::of(artifact)?.signed());
    }
    Ok(signed)
}
