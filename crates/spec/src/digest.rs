//! SHA-256 digests in the `sha256:<hex>` form that OCI uses, and hashing with a domain prefix.
//! Which bytes get hashed is decided by the modules that own them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest. Displays and serialises as `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A string that is not a `sha256:<64 hex digits>` digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hex digits")]
pub struct ParseDigestError(String);

impl Digest {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits without the algorithm.
    pub fn hex(&self) -> String {
        let digits = self.hex_bytes();
        std::str::from_utf8(&digits).expect("hex digits are ASCII").to_owned()
    }

    /// The same as bytes.
    pub(crate) fn hex_bytes(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).expect("two digits for each of 32 bytes");
        digits
    }

    pub fn from_hex(digits: &str) -> Result<Self, ParseDigestError> {
        let refuse = || ParseDigestError(digits.to_owned());
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 of `domain`, a newline and `bytes`: the same bytes hashed for two purposes never
    /// collide.
    pub fn in_domain(domain: &str, bytes: &[u8]) -> Self {
        Self::of_parts(&[domain.as_bytes(), b"\n", bytes])
    }

    /// SHA-256 of `parts`, one behind the other.
    pub(crate) fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// Hashes everything `reader` yields; returns the digest and the number of bytes.
    pub fn of_reader(reader: impl Read) -> io::Result<(Self, u64)> {
        Self::of_reader_with(reader, &mut vec![0; 256 * 1024])
    }

    /// The same, read through `buffer`: for many small files, which a buffer each would slow down.
    pub fn of_reader_with(mut reader: impl Read, buffer: &mut [u8]) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::new();
        let mut size = 0;
        loop {
            match reader.read(buffer)? {
                0 => return Ok((hasher.finish(), size)),
                n => {
                    hasher.update(&buffer[..n]);
                    size += n as u64;
                }
            }
        }
    }

    /// Digest and size of the file at `path`.
    pub fn of_file(path: &Path) -> io::Result<(Self, u64)> {
        Self::of_reader(File::open(path)?)
    }
}

/// Incremental SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.strip_prefix("sha256:")
            .ok_or_else(|| ParseDigestError(s.to_owned()))
            .and_then(|digits| Self::from_hex(digits).map_err(|_| ParseDigestError(s.to_owned())))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes_like_sha256sum() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::in_domain("d", b"x"), Digest::of(b"d\nx"));
        assert_eq!(Digest::of_reader(&b"d\nx"[..]).unwrap(), (Digest::of(b"d\nx"), 3));
    }

    #[test]
    fn parses_only_its_own_form() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
        for bad in [&EMPTY[7..], "sha512:00", "sha256:zz", &EMPTY.to_uppercase()] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
