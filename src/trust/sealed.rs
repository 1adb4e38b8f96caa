//! A private key at rest: cosign's form, a JSON document in PEM armour whose ciphertext is NaCl's
//! secretbox under a key that scrypt makes of a passphrase.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::TrustError;

/// What `ybox` and cosign since 2.0 write; cosign before that, and others, wrote the second. Both
/// are read.
const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const FORMER_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// Costs of scrypt: the first is written, cosign's older and OWASP's also read. What a file asks
/// for beyond that could take any amount of memory.
const COSTS: [u32; 3] = [65_536, 32_768, 131_072];
const BLOCK: u32 = 8;
const PARALLEL: u32 = 1;
const LINE: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
pub struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Costs,
    salt: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Costs {
    #[serde(rename = "N")]
    n: u32,
    r: u32,
    p: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Why a sealed key stays closed.
#[derive(Debug, PartialEq, Eq)]
pub enum Closed {
    Malformed(String),
    WrongPassphrase,
}

impl Closed {
    pub fn named(self, what: &str) -> TrustError {
        match self {
            Self::Malformed(why) => TrustError::BadKey { what: what.into(), why },
            Self::WrongPassphrase => TrustError::WrongPassphrase(what.into()),
        }
    }
}

/// Seals `secret` with a fresh salt and nonce; the PEM text.
pub fn seal(secret: &[u8], passphrase: &str) -> Result<String, TrustError> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    fill_random(&mut salt)?;
    fill_random(&mut nonce)?;
    let costs = Costs { n: COSTS[0], r: BLOCK, p: PARALLEL };
    let cipher = cipher(passphrase, &salt, &costs).expect("the costs are valid constants");
    let ciphertext =
        cipher.encrypt(&Nonce::from(nonce), secret).expect("a key is shorter than any limit");
    let sealed = Sealed {
        kdf: Kdf { name: "scrypt".into(), params: costs, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext),
    };
    Ok(armour(&serde_json::to_vec(&sealed).expect("plain data")))
}

/// Reads the PEM text; the error says why it is no sealed key.
pub fn parse(pem: &str) -> Result<Sealed, String> {
    let body = [LABEL, FORMER_LABEL].iter().find_map(|label| {
        let body = pem.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
        body.strip_suffix(&format!("-----END {label}-----"))
    });
    let Some(body) = body else {
        return Err(match pem.contains("PUBLIC KEY") {
            true => "it is a public key".into(),
            false => format!("it is no PEM text with the label {LABEL}"),
        });
    };
    let body: String = body.split_whitespace().collect();
    let json = STANDARD.decode(body).map_err(|e| format!("its content is no base64 ({e})"))?;
    serde_json::from_slice(&json).map_err(|e| format!("its content is not cosign's form ({e})"))
}

impl Sealed {
    pub fn open(&self, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, Closed> {
        let malformed = |why: &str| Closed::Malformed(why.into());
        if self.kdf.name != "scrypt" || self.cipher.name != "nacl/secretbox" {
            return Err(malformed("it is sealed with other algorithms than cosign's"));
        }
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| malformed("it is no base64"));
        let salt = bytes(&self.kdf.salt)?;
        let nonce: [u8; 24] = bytes(&self.cipher.nonce)?
            .try_into()
            .map_err(|_| malformed("its nonce has not 24 bytes"))?;
        let cipher = cipher(passphrase, &salt, &self.kdf.params)
            .ok_or_else(|| malformed("its scrypt costs are not among cosign's"))?;
        let opened = cipher.decrypt(&Nonce::from(nonce), &bytes(&self.ciphertext)?[..]);
        opened.map(Zeroizing::new).map_err(|_| Closed::WrongPassphrase)
    }
}

pub fn fill_random(bytes: &mut [u8]) -> Result<(), TrustError> {
    getrandom::fill(bytes)
        .map_err(|e| TrustError::io("get random numbers from the system")(e.into()))
}

/// Nothing if the costs are not among those that are read.
fn cipher(passphrase: &str, salt: &[u8], costs: &Costs) -> Option<XSalsa20Poly1305> {
    if !COSTS.contains(&costs.n) || (costs.r, costs.p) != (BLOCK, PARALLEL) {
        return None;
    }
    let log_n = u8::try_from(costs.n.ilog2()).expect("at most 31");
    let params = scrypt::Params::new(log_n, costs.r, costs.p).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, &mut *key).ok()?;
    Some(XSalsa20Poly1305::new((&*key).into()))
}

fn armour(content: &[u8]) -> String {
    let text = STANDARD.encode(content);
    let mut pem = format!("-----BEGIN {LABEL}-----\n");
    for line in text.as_bytes().chunks(LINE) {
        pem += std::str::from_utf8(line).expect("base64 is ASCII");
        pem.push('\n');
    }
    pem + &format!("-----END {LABEL}-----\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn opens_with_its_passphrase_only() {
        let pem = seal(b"secret", "correct horse").unwrap();
        assert!(!pem.contains("secret"));
        let sealed = parse(&pem).unwrap();
        assert_eq!(**sealed.open("correct horse").unwrap(), *b"secret");
        assert_eq!(sealed.open("wrong horse").unwrap_err(), Closed::WrongPassphrase);
        assert_ne!(pem, seal(b"secret", "correct horse").unwrap(), "salt and nonce are fresh");
    }

    #[test]
    fn costs_that_would_take_all_memory_are_refused() {
        let mut sealed = parse(&seal(b"secret", "p").unwrap()).unwrap();
        for (n, r, p) in [(1 << 30, 8, 1), (65_536, 1 << 20, 1), (65_536, 8, 1 << 20), (0, 0, 0)] {
            sealed.kdf.params = Costs { n, r, p };
            assert!(matches!(sealed.open("p"), Err(Closed::Malformed(_))), "{n} {r} {p}");
        }
    }

    #[test]
    fn says_what_another_file_is() {
        let public = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n";
        assert_eq!(parse(public).unwrap_err(), "it is a public key");
        assert!(parse("hello").unwrap_err().contains(LABEL));
        let twice = armour(br#"{"ciphertext":"","ciphertext":""}"#);
        assert!(parse(&twice).unwrap_err().contains("duplicate field"));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in any::<prop::sample::Index>(), value in any::<u8>()) {
            let mut pem = armour(br#"{"kdf":{"name":"scrypt","params":{"N":1,"r":8,"p":1},"salt":"AA=="},"cipher":{"name":"nacl/secretbox","nonce":"AA=="},"ciphertext":"AA=="}"#).into_bytes();
            let at = at.index(pem.len());
            pem[at] = value;
            if let Ok(sealed) = parse(&String::from_utf8_lossy(&pem)) {
                prop_assert!(sealed.open("p").is_err());
            }
        }
    }
}
