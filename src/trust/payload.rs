//! What cosign signs for an image: a "simple signing" document that names the digest of its
//! manifest.
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, canonical};

use super::TrustError;
use crate::strict;

/// Value of `critical.type`.
const TYPE: &str = "cosign container image signature";

/// The document. Fields are only ever added to `optional`, which is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    critical: Critical,
    optional: Option<Optional>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: Digest,
}

/// Annotations of whoever signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Optional {}

impl Payload {
    /// For the image `manifest` of `repository`, e.g. `registry.example/team/cpu`.
    pub fn new(repository: &str, manifest: Digest) -> Self {
        Self {
            critical: Critical {
                identity: Identity { docker_reference: repository.into() },
                image: Image { docker_manifest_digest: manifest },
                kind: TYPE.into(),
            },
            optional: None,
        }
    }

    /// Digest of the manifest that is signed.
    pub fn manifest(&self) -> Digest {
        self.critical.image.docker_manifest_digest
    }

    /// The bytes that are signed: the same for the same image.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads what was signed. A key that occurs twice, an unknown one in `critical` and another
    /// type are refused: what is signed must not mean two things.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let bad = |why: String| TrustError::bad_signature("the signed document", why);
        let payload: Self = strict::parse(bytes).map_err(|e| bad(e.to_string()))?;
        match payload.critical.kind.as_str() {
            TYPE => Ok(payload),
            other => Err(bad(format!("its type is `{other}`, not `{TYPE}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_cosign_writes_it() {
        let digest = Digest::of(b"");
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"r.example/a"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        let payload = Payload::new("r.example/a", digest);
        assert_eq!(String::from_utf8(payload.to_bytes()).unwrap(), expected);
        assert_eq!(Payload::parse(expected.as_bytes()).unwrap(), payload);
        let annotated = expected.replace("null", r#"{"who":"me"}"#);
        assert_eq!(Payload::parse(annotated.as_bytes()).unwrap().manifest(), digest);
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let digest = Digest::of(b"");
        let text = String::from_utf8(Payload::new("a", digest).to_bytes()).unwrap();
        let image = format!(r#""image":{{"docker-manifest-digest":"{digest}"}}"#);
        for (from, to) in [
            (image.as_str(), format!("{image},{image}")),
            (&image, format!(r#"{image},"images":1"#)),
            ("cosign container", "another".into()),
            ("sha256:", "sha512:".into()),
            (r#""optional""#, r#""optional":null,"optional""#.into()),
            ("null", r#"{"who":"me","who":"you"}"#.into()),
            (r#""optional""#, r#""more":1,"more":2,"optional""#.into()),
        ] {
            let changed = text.replace(from, &to);
            assert_ne!(changed, text);
            assert!(Payload::parse(changed.as_bytes()).is_err(), "{changed}");
        }
    }
}
