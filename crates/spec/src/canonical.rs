//! The one JSON writer whose bytes are hashed: RFC 8785 (JCS).

use serde::Serialize;

use crate::Digest;

/// The RFC 8785 form of `value`.
///
/// # Panics
/// On a map key that is not a string or a number that is not finite: our own types have neither.
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("our types have string keys and finite numbers")
}

/// SHA-256 of `domain`, a newline and the RFC 8785 form of `value`.
pub fn digest<T: Serialize>(domain: &str, value: &T) -> Digest {
    Digest::in_domain(domain, &to_bytes(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_rfc_8785() {
        let value = json!({"b": [1.0, 0.0005, 1e21], "a": "é\n", "A": null});
        assert_eq!(
            String::from_utf8(to_bytes(&value)).unwrap(),
            r#"{"A":null,"a":"é\n","b":[1,0.0005,1e+21]}"#
        );
    }
}
