//! Signed statements: the DSSE envelope. What is signed is not the statement alone but its type with
//! it, so that no other kind of document can be passed off as one.
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use ybox_spec::canonical;

#[cfg(test)]
use super::PublicKey;
use super::{PrivateKey, TrustError};
use crate::image::IN_TOTO;
use crate::strict;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// A hint that cosign leaves empty, and so does ybox: every known key is tried.
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs an in-toto statement.
    pub fn seal(statement: &[u8], key: &PrivateKey) -> Self {
        let sig = STANDARD.encode(key.sign(&signed(IN_TOTO, statement)));
        Self {
            payload: STANDARD.encode(statement),
            payload_type: IN_TOTO.into(),
            signatures: vec![Signature { keyid: String::new(), sig }],
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        strict::parse(bytes).map_err(|e| TrustError::bad_signature("the envelope", e))
    }

    /// The statement, whoever signed it.
    pub fn payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// The statement, if one of `keys` signed it.
    #[cfg(test)]
    pub fn open(&self, keys: &[PublicKey]) -> Option<Vec<u8>> {
        let payload = self.payload()?;
        let message = signed(&self.payload_type, &payload);
        let mut signatures = self.signatures.iter().filter_map(|s| STANDARD.decode(&s.sig).ok());
        let verified = |sig: Vec<u8>| keys.iter().any(|key| key.verifies(&message, &sig));
        (self.payload_type == IN_TOTO && signatures.any(verified)).then_some(payload)
    }
}

/// DSSE's pre-authentication encoding.
fn signed(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend(payload);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the specification.
    #[test]
    fn what_is_signed_is_as_specified() {
        let message = signed("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn opens_with_the_key_that_sealed_it_and_untouched_only() {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let envelope = Envelope::seal(b"statement", &key);
        assert_eq!(envelope.to_bytes(), Envelope::seal(b"statement", &key).to_bytes());
        let parsed = Envelope::parse(&envelope.to_bytes()).unwrap();
        let keys = [other.public(), key.public()];
        assert_eq!(parsed.open(&keys).as_deref(), Some(&b"statement"[..]));
        assert_eq!(parsed.open(&keys[..1]), None);
        let changed = Envelope { payload: STANDARD.encode(b"another"), ..envelope.clone() };
        assert_eq!(changed.open(&keys), None);
        let other_kind = Envelope { payload_type: "text/plain".into(), ..envelope };
        assert_eq!(other_kind.open(&keys), None);
        let twice = br#"{"payload":"","payload":"","payloadType":"","signatures":[]}"#;
        assert!(Envelope::parse(twice).is_err());
        let inside = br#"{"more":1,"more":2,"payload":"","payloadType":"","signatures":[]}"#;
        assert!(Envelope::parse(inside).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_to_an_envelope_is_taken_for_the_statement(
            at in any::<prop::sample::Index>(), value in any::<u8>()
        ) {
            let scalar = [7; 32];
            let key = PrivateKey::from_scalar(&scalar);
            let mut bytes = Envelope::seal(b"statement", &key).to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(envelope) = Envelope::parse(&bytes) {
                let opened = envelope.open(&[key.public()]);
                prop_assert!(opened.is_none_or(|statement| statement == b"statement"));
            }
        }
    }
}
