//! A key pair on disk: `NAME.key`, sealed and readable by its owner only, and `NAME.pub`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ybox_spec::files;

use super::{PrivateKey, TrustError};

/// Where the two halves of a key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub private: PathBuf,
    pub public: PathBuf,
}

impl KeyPair {
    /// The files of the pair `name`, which may have folders before it.
    pub fn named(name: &Path) -> Self {
        let with = |ending: &str| {
            let mut path = name.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        Self { private: with(".key"), public: with(".pub") }
    }

    /// Fails if one of the files is there.
    pub fn must_be_new(&self) -> Result<(), TrustError> {
        let taken =
            [&self.private, &self.public].into_iter().find(|p| p.symlink_metadata().is_ok());
        taken.map_or(Ok(()), |path| Err(TrustError::KeyExists(path.clone())))
    }
}

/// Writes both halves of `key`, or nothing.
pub fn write_new(pair: &KeyPair, key: &PrivateKey, passphrase: &str) -> Result<(), TrustError> {
    pair.must_be_new()?;
    let sealed = key.seal(passphrase)?;
    create(&pair.private, 0o600, &sealed)?;
    create(&pair.public, 0o644, &key.public().pem()).inspect_err(|_| {
        let _ = fs::remove_file(&pair.private);
    })
}

fn create(path: &Path, mode: u32, text: &str) -> Result<(), TrustError> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = written.and_then(|mut file| {
        let done = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        done.inspect_err(|_| _ = fs::remove_file(path))
    });
    match written.and_then(|()| files::sync_directory(path)) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(TrustError::KeyExists(path.into()))
        }
        done => done.map_err(TrustError::io(format!("write the key {}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn the_private_half_is_the_owners_only_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::named(&dir.path().join("team.v1"));
        let key = PrivateKey::generate().unwrap();
        write_new(&pair, &key, "p").unwrap();
        assert!(pair.private.ends_with("team.v1.key"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&pair.private), 0o600);
        let read = PrivateKey::read(&pair.private, || Ok(Zeroizing::new("p".into()))).unwrap();
        assert_eq!(read.public(), key.public());
        let wrong = PrivateKey::read(&pair.private, || Ok(Zeroizing::new("q".into())));
        assert!(matches!(wrong, Err(TrustError::WrongPassphrase(_))));

        fs::remove_file(&pair.private).unwrap();
        let before = fs::read(&pair.public).unwrap();
        let refused = write_new(&pair, &PrivateKey::generate().unwrap(), "p");
        assert!(matches!(refused, Err(TrustError::KeyExists(path)) if path == pair.public));
        assert!(!pair.private.exists());
        assert_eq!(fs::read(&pair.public).unwrap(), before);
    }
}
