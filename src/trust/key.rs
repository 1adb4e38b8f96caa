//! ECDSA keys on the curve P-256 with SHA-256, as cosign has them. Signing is deterministic
//! (RFC 6979): the same key and message, the same bytes.

use std::fmt;
use std::fs;
use std::path::Path;

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use ybox_spec::Digest;
use zeroize::Zeroizing;

use super::{TrustError, sealed};

/// Key files are a few hundred bytes: more is not read into memory.
const LARGEST_KEY_FILE: u64 = 64 << 10;

/// A key to sign with. Kept only in memory and, sealed with a passphrase, in its file.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A key to check signatures with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// A new key from the operating system's random numbers.
    pub fn generate() -> Result<Self, TrustError> {
        let mut scalar = Zeroizing::new([0; 32]);
        loop {
            sealed::fill_random(&mut *scalar)?;
            // All but one in 2^32 candidates are below the order of the curve.
            if let Ok(key) = SigningKey::from_slice(&*scalar) {
                return Ok(Self(key));
            }
        }
    }

    #[cfg(test)]
    pub fn from_scalar(scalar: &[u8; 32]) -> Self {
        Self(SigningKey::from_slice(scalar).unwrap())
    }

    /// Reads a key file and opens it with what `passphrase` returns.
    pub fn read(
        path: &Path,
        passphrase: impl FnOnce() -> Result<Zeroizing<String>, TrustError>,
    ) -> Result<Self, TrustError> {
        let pem = read_key_file(path)?;
        let what = path.display().to_string();
        let sealed = sealed::parse(&pem).map_err(|why| bad_key(&what, why))?;
        let der = sealed.open(&passphrase()?).map_err(|e| e.named(&what))?;
        let key = SigningKey::from_pkcs8_der(&der);
        key.map(Self).map_err(|_| bad_key(&what, "what is sealed in it is no P-256 key".into()))
    }

    /// The PEM text of the key's file.
    pub fn seal(&self, passphrase: &str) -> Result<String, TrustError> {
        let der = self.0.to_pkcs8_der().expect("a P-256 key has a PKCS#8 form");
        sealed::seal(der.as_bytes(), passphrase)
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// The signature's DER form.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {}", self.public())
    }
}

impl PublicKey {
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let pem = read_key_file(path)?;
        Self::parse(&pem).map_err(|why| bad_key(&path.display().to_string(), why))
    }

    /// Parses a PEM text (`BEGIN PUBLIC KEY`); the error says why it is none.
    pub fn parse(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("it is a private key; the file beside it that ends in .pub is meant".into());
        }
        let key = VerifyingKey::from_public_key_pem(pem.trim());
        key.map(Self).map_err(|e| format!("it is no PEM text of a public P-256 key ({e})"))
    }

    pub fn pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a P-256 key has a PEM form")
    }

    /// SHA-256 of the key's DER form: what names it in messages.
    pub fn fingerprint(&self) -> Digest {
        let der = self.0.to_public_key_der().expect("a P-256 key has a DER form");
        Digest::of(der.as_bytes())
    }

    /// Whether `signature`, in DER, is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let parsed = Signature::from_der(signature);
        parsed.is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fingerprint(), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey {self}")
    }
}

fn bad_key(what: &str, why: String) -> TrustError {
    TrustError::BadKey { what: what.into(), why }
}

fn read_key_file(path: &Path) -> Result<String, TrustError> {
    let failed = || TrustError::io(format!("read the key {}", path.display()));
    let size = fs::metadata(path).map_err(failed())?.len();
    if size > LARGEST_KEY_FILE {
        return Err(bad_key(&path.display().to_string(), format!("it has {size} bytes")));
    }
    let bytes = fs::read(path).map_err(failed())?;
    String::from_utf8(bytes)
        .map_err(|_| bad_key(&path.display().to_string(), "it is no text".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_the_same_bytes_each_time_and_only_its_own_public_key_verifies() {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signature = key.sign(b"message");
        assert_eq!(signature, key.sign(b"message"));
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"massage", &signature));
        assert!(!other.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"message", b"no signature"));
    }

    /// RFC 6979, A.2.5: P-256 with SHA-256, message "sample".
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        let key = PrivateKey(SigningKey::from_slice(&hex::decode(scalar).unwrap()).unwrap());
        let signature = Signature::from_der(&key.sign(b"sample")).unwrap();
        assert_eq!(
            hex::encode(signature.to_bytes()),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
    }

    #[test]
    fn a_public_key_survives_its_pem_form() {
        let key = PrivateKey::generate().unwrap().public();
        assert_eq!(PublicKey::parse(&key.pem()).unwrap(), key);
        assert!(
            PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
                .is_err()
        );
        let private =
            PublicKey::parse("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----").unwrap_err();
        assert!(private.contains(".pub"), "{private}");
    }
}
