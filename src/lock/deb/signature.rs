//! Whether an InRelease file was signed by a key of the archive, as `gpgv` or `sqv` say. Only the
//! text that they hand back is used: it is what was signed, whatever stands around it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fetch::SignedBy;

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("there is neither gpgv nor sqv here to check it with")]
    NoVerifier,
    #[error("the keyring {path} can't be read")]
    Keyring { path: PathBuf, source: io::Error },
    #[error("the key in apt's sources is not armored as it should be")]
    Armor,
    #[error("cannot run {verifier}")]
    Run { verifier: String, source: io::Error },
    #[error("no key of {keyring} vouches for it:\n    {}", said.join("\n    "))]
    Bad { keyring: PathBuf, said: Vec<String> },
}

/// The signed text of `inrelease`.
pub fn verified(
    inrelease: &[u8],
    signed_by: &SignedBy,
    verifiers: &[String],
) -> Result<String, SignatureError> {
    let folder = tempfile::tempdir().map_err(|e| run_error("gpgv", e))?;
    let keyring = keyring_file(signed_by, folder.path())?;
    let message = folder.path().join("InRelease");
    std::fs::write(&message, inrelease).map_err(|e| run_error("gpgv", e))?;
    for verifier in verifiers {
        let checked = match Path::new(verifier).file_name().and_then(OsStr::to_str) {
            Some("sqv") => sqv(verifier, &keyring, &message),
            _ => gpgv(verifier, &keyring, &message),
        };
        match checked {
            Err(SignatureError::Run { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            }
            checked => return checked,
        }
    }
    Err(SignatureError::NoVerifier)
}

/// As apt has it: one good signature, and none that is bad. An archive signs with the keys of
/// several releases, and an older keyring doesn't have the newest.
fn gpgv(verifier: &str, keyring: &Path, message: &Path) -> Result<String, SignatureError> {
    let output = run(Command::new(verifier)
        .args(["--status-fd", "2", "--weak-digest", "SHA1", "--output", "-", "--keyring"])
        .args([keyring, message]))
    .map_err(|e| run_error(verifier, e))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let status = |keyword: &str| {
        let prefix = format!("[GNUPG:] {keyword} ");
        said.lines().filter(|line| line.starts_with(&prefix)).count()
    };
    if status("GOODSIG") == 0 || status("BADSIG") > 0 || status("PLAINTEXT") != 1 {
        return Err(bad(keyring, &said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn sqv(verifier: &str, keyring: &Path, message: &Path) -> Result<String, SignatureError> {
    let text = message.with_file_name("text");
    let output = run(Command::new(verifier)
        .arg("--keyring")
        .arg(keyring)
        .arg("--output")
        .arg(&text)
        .arg("--cleartext")
        .arg(message))
    .map_err(|e| run_error(verifier, e))?;
    if !output.status.success() {
        return Err(bad(keyring, &String::from_utf8_lossy(&output.stderr)));
    }
    let text = std::fs::read(&text).map_err(|e| run_error(verifier, e))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What they say is read, so in one language.
fn run(command: &mut Command) -> io::Result<Output> {
    command.env("LC_ALL", "C").stdin(Stdio::null()).output()
}

fn bad(keyring: &Path, said: &str) -> SignatureError {
    let said = said.lines().filter(|line| !line.starts_with("[GNUPG:]")).map(str::to_owned);
    SignatureError::Bad { keyring: keyring.into(), said: said.collect() }
}

fn run_error(verifier: &str, source: io::Error) -> SignatureError {
    SignatureError::Run { verifier: verifier.into(), source }
}

/// A binary keyring file: the one named, or one written to `folder` if that is armored.
fn keyring_file(signed_by: &SignedBy, folder: &Path) -> Result<PathBuf, SignatureError> {
    let armored = match signed_by {
        SignedBy::Key(key) => key.clone(),
        SignedBy::File(path) => {
            let content = std::fs::read(path)
                .map_err(|source| SignatureError::Keyring { path: path.clone(), source })?;
            match String::from_utf8(content) {
                Ok(text) if text.contains(BEGIN) => text,
                _ => return Ok(path.clone()),
            }
        }
    };
    let path = folder.join("keyring.gpg");
    let keys = dearmored(&armored).ok_or(SignatureError::Armor)?;
    std::fs::write(&path, keys)
        .map_err(|source| SignatureError::Keyring { path: path.clone(), source })?;
    Ok(path)
}

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The packets of every armored key (RFC 9580, 6.2); gpgv reads no armor.
fn dearmored(text: &str) -> Option<Vec<u8>> {
    let text = text.replace("\r\n", "\n");
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (_headers, body) = block.split_once(END)?.0.split_once("\n\n")?;
        let base64: String =
            body.lines().map(str::trim).filter(|line| !line.starts_with('=')).collect();
        keys.extend(STANDARD.decode(base64).ok()?);
    }
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armor_comes_off() {
        let armored = format!("{BEGIN}\nComment: x\n\naGVs\nbG8=\n=AbCd\n{END}\n");
        assert_eq!(dearmored(&armored).unwrap(), b"hello");
        assert_eq!(dearmored(&format!("{armored}{armored}")).unwrap(), b"hellohello");
        assert_eq!(dearmored("no key"), None);
    }

    #[test]
    fn without_a_verifier_nothing_is_trusted() {
        let key = SignedBy::Key(format!("{BEGIN}\n\naGVsbG8=\n{END}\n"));
        let error = verified(b"x", &key, &["/nowhere/gpgv".into()]).unwrap_err();
        assert!(matches!(error, SignatureError::NoVerifier));
    }
}
