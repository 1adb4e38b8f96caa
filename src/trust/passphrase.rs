//! Where the passphrase of a key comes from: a file, the environment, or the person at the terminal.

use std::fs;
use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::TrustError;

/// A source of a passphrase.
#[derive(Debug, Clone)]
pub enum Passphrase {
    /// The first line of a file.
    File(PathBuf),
    Given(Zeroizing<String>),
    /// Asks at the terminal, without showing what is typed.
    Ask,
}

impl Passphrase {
    /// The passphrase of the key that `what` names.
    pub fn get(&self, what: &str) -> Result<Zeroizing<String>, TrustError> {
        match self {
            Self::File(path) => {
                let text = fs::read_to_string(path).map(Zeroizing::new).map_err(TrustError::io(
                    format!("read the passphrase in {}", path.display()),
                ))?;
                Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
            }
            Self::Given(passphrase) => Ok(passphrase.clone()),
            Self::Ask => ask(&format!("passphrase of {what}: ")),
        }
    }

    /// One for a new key: not empty, and typed twice where a person types it.
    pub fn choose(&self, what: &str) -> Result<Zeroizing<String>, TrustError> {
        let chosen = self.get(what)?;
        if chosen.is_empty() {
            return Err(TrustError::EmptyPassphrase);
        }
        match self {
            Self::Ask if ask("the same again: ")? != chosen => Err(TrustError::PassphrasesDiffer),
            _ => Ok(chosen),
        }
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, TrustError> {
    match rpassword::prompt_password(prompt) {
        Ok(passphrase) => Ok(Zeroizing::new(passphrase)),
        // No controlling terminal: ENXIO, and ENOENT where there is no /dev.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Err(TrustError::NoPassphrase),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(TrustError::NoPassphrase),
        Err(source) => Err(TrustError::Io { doing: "ask for the passphrase".into(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        fs::write(&path, "correct horse\r\nbattery\n").unwrap();
        assert_eq!(*Passphrase::File(path.clone()).get("k").unwrap(), "correct horse");
        fs::write(&path, "").unwrap();
        assert!(matches!(Passphrase::File(path).choose("k"), Err(TrustError::EmptyPassphrase)));
    }
}
