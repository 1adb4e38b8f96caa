//! Doors for the fuzz targets below `fuzz/` to keys and signed payloads. Compiled for them alone.

use super::{Payload, PublicKey, sealed};

pub fn payload(bytes: &[u8]) {
    if let Ok(payload) = Payload::parse(bytes) {
        payload.manifest();
    }
}

/// Not opened: cosign's costs would make every try take a second.
pub fn key(pem: &str) {
    let _ = sealed::parse(pem);
    if let Ok(key) = PublicKey::parse(pem) {
        let again = PublicKey::parse(&key.pem()).expect("ybox reads what it writes");
        assert_eq!(again.pem(), key.pem());
    }
}
