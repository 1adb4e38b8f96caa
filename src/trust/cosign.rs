//! How cosign keeps signatures beside an image: a manifest under the tag `sha256-<hex>.sig`, with one
//! layer per signature, and one under `sha256-<hex>.att` with one layer per signed statement.
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ybox_spec::{Digest, canonical};

use super::{Envelope, Payload, PrivateKey, Signed, TrustError};
use crate::image::{Artifact, oci, sha256_of, statement};
use crate::strict;

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const PREDICATE: &str = "predicateType";
/// Type of a statement whose predicate is an SPDX document.
const SPDX_PREDICATE: &str = "https://spdx.dev/Document";

/// The two kinds of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Signatures,
    Attestations,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Signatures, Self::Attestations];

    /// Type of the manifest, which has none of its own in cosign's form.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Signatures => "application/vnd.dev.cosign.artifact.sig.v1+json",
            Self::Attestations => "application/vnd.dev.cosign.artifact.att.v1+json",
        }
    }

    /// Where cosign looks for what belongs to `manifest`.
    pub fn tag(self, manifest: &Digest) -> String {
        let ending = match self {
            Self::Signatures => "sig",
            Self::Attestations => "att",
        };
        format!("sha256-{}.{ending}", manifest.hex())
    }

    fn layer_type(self) -> &'static str {
        match self {
            Self::Signatures => "application/vnd.dev.cosign.simplesigning.v1+json",
            Self::Attestations => "application/vnd.dsse.envelope.v1+json",
        }
    }
}

/// One layer as it is kept in a file: what is signed, which is text, and the layer's annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    payload: String,
    annotations: BTreeMap<String, String>,
}

/// Signatures, or attestations, of an image or a run: in the order of their making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    kind: Kind,
    layers: Vec<(Descriptor, Vec<u8>)>,
}

impl Collection {
    pub fn new(kind: Kind) -> Self {
        Self { kind, layers: Vec::new() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Those that are about an image that has one of `manifests`.
    pub fn about(mut self, manifests: &[Digest]) -> Self {
        let kind = self.kind;
        self.layers.retain(|(_, bytes)| match kind {
            Kind::Attestations => is_stated(bytes, manifests),
            Kind::Signatures => {
                Payload::parse(bytes).is_ok_and(|payload| manifests.contains(&payload.manifest()))
            }
        });
        self
    }

    /// What an artifact holds, less layers of other kinds; nothing of an artifact that is neither.
    pub fn of(artifact: &Artifact) -> Option<Self> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.media_type() == artifact.kind())?;
        let fits =
            |(layer, _): &(&Descriptor, &[u8])| layer.media_type().as_ref() == kind.layer_type();
        let layers = artifact.layers().filter(fits);
        let layers = layers.map(|(layer, bytes)| (layer.clone(), bytes.to_vec())).collect();
        Some(Self { kind, layers })
    }

    /// What the artifacts of that kind hold, each once.
    pub fn gathered(kind: Kind, artifacts: &[Artifact]) -> Self {
        let mut all = Self::new(kind);
        for one in artifacts.iter().filter_map(Self::of).filter(|one| one.kind == kind) {
            all.merge(&one);
        }
        all
    }

    /// The layers that are signed, for a file; those whose payload is no text are left out.
    pub fn noted(&self) -> Vec<Noted> {
        let noted = |(layer, bytes): &(Descriptor, Vec<u8>)| {
            let annotations =
                layer.annotations().as_ref().filter(|all| all.contains_key(SIGNATURE))?;
            let annotations = annotations.clone().into_iter().collect();
            Some(Noted { payload: String::from_utf8(bytes.clone()).ok()?, annotations })
        };
        self.layers.iter().filter_map(noted).collect()
    }

    pub fn of_noted(kind: Kind, noted: Vec<Noted>) -> Self {
        let mut all = Self::new(kind);
        for Noted { payload, annotations } in noted {
            all.add(payload.into_bytes(), annotations);
        }
        all
    }

    /// Adds the signature of `key` for the manifest `manifest` of `repository`.
    pub fn sign(&mut self, repository: &str, manifest: Digest, key: &PrivateKey) {
        let payload = Payload::new(repository, manifest).to_bytes();
        let signature = STANDARD.encode(key.sign(&payload));
        self.add(payload, [(SIGNATURE.into(), signature)]);
    }

    /// Adds a statement, signed by `key`.
    pub fn attest(&mut self, statement: &[u8], predicate_type: &str, key: &PrivateKey) {
        let envelope = Envelope::seal(statement, key).to_bytes();
        let predicate = (PREDICATE.into(), predicate_type.into());
        self.add(envelope, [(SIGNATURE.into(), String::new()), predicate]);
    }

    /// Adds what another has and this one has not; whether there was something.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.layers.len();
        for layer in &other.layers {
            if !self.layers.contains(layer) {
                self.layers.push(layer.clone());
            }
        }
        self.layers.len() > before
    }

    /// The signatures, for a policy to judge.
    pub fn signed(&self) -> Vec<Signed> {
        let signed = |(layer, payload): &(Descriptor, Vec<u8>)| {
            let text = layer.annotations().as_ref()?.get(SIGNATURE)?;
            let signature = STANDARD.decode(text).ok()?;
            Some(Signed { payload: payload.clone(), signature })
        };
        self.layers.iter().filter_map(signed).collect()
    }

    pub fn to_artifact(&self) -> Artifact {
        let config = self.config();
        let layers: Vec<_> = self.layers.iter().map(|(layer, _)| layer.clone()).collect();
        let manifest =
            oci::bytes(&oci::manifest(oci::describe(MediaType::ImageConfig, &config), layers));
        let mut blobs: BTreeMap<_, _> =
            self.layers.iter().map(|(_, bytes)| (Digest::of(bytes), bytes.clone())).collect();
        blobs.insert(Digest::of(&config), config);
        Artifact::new(self.kind.media_type(), manifest, blobs).expect("it names what it has")
    }

    fn add(&mut self, bytes: Vec<u8>, annotations: impl IntoIterator<Item = (String, String)>) {
        let mut layer = oci::describe(MediaType::from(self.kind.layer_type()), &bytes);
        layer.set_annotations(Some(annotations.into_iter().collect()));
        if !self.layers.iter().any(|(known, _)| *known == layer) {
            self.layers.push((layer, bytes));
        }
    }

    /// The config that cosign writes: that of an image without anything but its layers.
    fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|(layer, _)| layer.digest()).collect();
        canonical::to_bytes(&json!({
            "architecture": "",
            "config": {},
            "created": "0001-01-01T00:00:00Z",
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }))
    }
}

/// The statement that `document` is the bill of materials of the image `manifest`.
pub fn bill_statement(
    repository: &str,
    manifest: &Digest,
    document: &[u8],
) -> Result<Vec<u8>, TrustError> {
    let bad = |e| TrustError::bad_signature("the bill of materials", e);
    let document: Value = serde_json::from_slice(document).map_err(bad)?;
    let subject = json!({"name": repository, "digest": sha256_of(manifest)});
    Ok(statement(&[subject], SPDX_PREDICATE, document))
}

/// Whether the statement in an envelope has an image with one of `manifests` among its subjects.
fn is_stated(envelope: &[u8], manifests: &[Digest]) -> bool {
    let statement = Envelope::parse(envelope).ok().and_then(|envelope| envelope.payload());
    let statement: Option<Value> = statement.and_then(|text| strict::parse(&text).ok());
    let subjects = statement.as_ref().and_then(|statement| statement["subject"].as_array());
    let is_it = |subject: &Value| {
        manifests.iter().any(|manifest| subject["digest"]["sha256"] == manifest.hex())
    };
    subjects.is_some_and(|subjects| subjects.iter().any(is_it))
}

/// The type of a statement's predicate.
pub fn predicate_type(statement: &[u8]) -> Result<String, TrustError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outline {
        predicate_type: String,
    }
    let outline: Outline =
        strict::parse(statement).map_err(|e| TrustError::bad_signature("the statement", e))?;
    Ok(outline.predicate_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_twice_is_signing_once_and_others_signatures_stay() {
        let [one, other] = [1, 2].map(|n| PrivateKey::from_scalar(&[n; 32]));
        let image = Digest::of(b"image");
        let mut first = Collection::new(Kind::Signatures);
        first.sign("r.test/a", image, &one);
        let artifact = first.to_artifact();
        let mut read = Collection::of(&artifact).unwrap();
        assert_eq!(read, first);
        read.sign("r.test/a", image, &one);
        assert_eq!(read.to_artifact(), artifact);
        read.sign("r.test/a", image, &other);
        assert_eq!(read.signed().len(), 2);
        assert!(first.merge(&read));
        assert!(!first.merge(&read));
        assert_eq!(first, read);
        let twice = [artifact, read.to_artifact()];
        assert_eq!(Collection::gathered(Kind::Signatures, &twice).signed().len(), 2);
        assert_eq!(Collection::of_noted(Kind::Signatures, read.noted()), read);
    }
}
