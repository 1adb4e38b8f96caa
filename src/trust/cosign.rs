//! How cosign keeps signatures beside an image: a manifest under the tag `sha256-<hex>.sig`, with one
//! layer per signature, and one under `sha256-<hex>.att` with one layer per signed statement.
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use serde_json::{Value, json};
use ybox_spec::{Digest, canonical};

use super::{Envelope, Payload, PrivateKey, Signed, TrustError};
use crate::image::{Artifact, ImageError, oci, sha256_of, statement};

/// Types of the two kinds of manifests, which have none of their own in cosign's form.
pub const SIGNATURES: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
pub const ATTESTATIONS: &str = "application/vnd.dev.cosign.artifact.att.v1+json";

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const PREDICATE: &str = "predicateType";
/// Type of a statement whose predicate is an SPDX document.
const SPDX_PREDICATE: &str = "https://spdx.dev/Document";

/// Where cosign looks for what belongs to `manifest`.
pub fn tag(manifest: &Digest, kind: &str) -> String {
    let ending = if kind == SIGNATURES { "sig" } else { "att" };
    format!("sha256-{}.{ending}", manifest.hex())
}

/// Signatures, or attestations, of an image: in the order of their making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    kind: &'static str,
    layers: Vec<(Descriptor, Vec<u8>)>,
}

impl Collection {
    pub fn signatures() -> Self {
        Self { kind: SIGNATURES, layers: Vec::new() }
    }

    pub fn attestations() -> Self {
        Self { kind: ATTESTATIONS, layers: Vec::new() }
    }

    /// Of [`SIGNATURES`] or [`ATTESTATIONS`].
    pub fn empty(kind: &'static str) -> Self {
        Self { kind, layers: Vec::new() }
    }

    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Those that are about the image `manifest`.
    pub fn about(mut self, manifest: &Digest) -> Self {
        let is_attestations = self.kind == ATTESTATIONS;
        self.layers.retain(|(_, bytes)| match is_attestations {
            true => is_stated(bytes, manifest),
            false => Payload::parse(bytes).is_ok_and(|payload| payload.manifest() == *manifest),
        });
        self
    }

    /// What an artifact holds, less layers of other kinds.
    pub fn of(artifact: &Artifact) -> Result<Self, ImageError> {
        let mut collection = match artifact.kind.as_str() {
            ATTESTATIONS => Self::attestations(),
            _ => Self::signatures(),
        };
        let manifest: ImageManifest = artifact.parsed()?;
        for layer in manifest.layers() {
            if layer.media_type().as_ref() == collection.layer_type() {
                let bytes = artifact.blobs[&oci::digest_of(layer)?].clone();
                collection.layers.push((layer.clone(), bytes));
            }
        }
        Ok(collection)
    }

    /// Adds the signature of `key` for the image `manifest` of `repository`.
    pub fn sign(&mut self, repository: &str, manifest: Digest, key: &PrivateKey) {
        let payload = Payload::new(repository, manifest).to_bytes();
        let signature = STANDARD.encode(key.sign(&payload));
        self.add(payload, &[(SIGNATURE, signature)]);
    }

    /// Adds a statement, signed by `key`.
    pub fn attest(&mut self, statement: &[u8], predicate_type: &str, key: &PrivateKey) {
        let envelope = Envelope::seal(statement, key).to_bytes();
        self.add(envelope, &[(SIGNATURE, String::new()), (PREDICATE, predicate_type.into())]);
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
        Artifact { kind: self.kind.into(), manifest, blobs }
    }

    fn add(&mut self, bytes: Vec<u8>, annotations: &[(&str, String)]) {
        let mut layer = oci::describe(MediaType::from(self.layer_type()), &bytes);
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        layer.set_annotations(Some(annotations));
        if !self.layers.iter().any(|(known, _)| *known == layer) {
            self.layers.push((layer, bytes));
        }
    }

    fn layer_type(&self) -> &'static str {
        if self.kind == SIGNATURES { PAYLOAD } else { ENVELOPE }
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

/// Whether the statement in an envelope has the image `manifest` among its subjects.
fn is_stated(envelope: &[u8], manifest: &Digest) -> bool {
    let statement = Envelope::parse(envelope).ok().and_then(|envelope| envelope.payload());
    let statement: Option<Value> = statement.and_then(|text| serde_json::from_slice(&text).ok());
    let subjects = statement.as_ref().and_then(|statement| statement["subject"].as_array());
    let is_it = |subject: &Value| subject["digest"]["sha256"] == manifest.hex();
    subjects.is_some_and(|subjects| subjects.iter().any(is_it))
}

/// The type of a statement's predicate.
pub fn predicate_type(statement: &[u8]) -> Result<String, TrustError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outline {
        predicate_type: String,
    }
    let outline: Outline = serde_json::from_slice(statement)
        .map_err(|e| TrustError::bad_signature("the statement", e))?;
    Ok(outline.predicate_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_twice_is_signing_once_and_others_signatures_stay() {
        let [one, other] = [1, 2].map(|n| PrivateKey::from_scalar(&[n; 32]));
        let image = Digest::of(b"image");
        let mut first = Collection::signatures();
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
    }

    #[test]
    fn an_artifact_with_other_blobs_than_it_names_is_refused() {
        let mut signatures = Collection::signatures();
        signatures.sign("r.test/a", Digest::of(b"image"), &PrivateKey::from_scalar(&[1; 32]));
        let mut artifact = signatures.to_artifact();
        let digest = *artifact.blobs.keys().next().unwrap();
        artifact.blobs.insert(digest, b"other".to_vec());
        assert!(matches!(Collection::of(&artifact), Err(ImageError::Damaged(..))));
        artifact.blobs.remove(&digest);
        assert!(matches!(Collection::of(&artifact), Err(ImageError::MissingBlob(_))));
    }
}
