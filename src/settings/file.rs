//! `$XDG_CONFIG_HOME/ybox/config.yaml`: what a machine or a team sets once.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{SettingsError, yaml};

/// The file as written; every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Python package index (PEP 503 or 691).
    pub python_index: Option<String>,
    /// Indexes to look in for what the first one lacks, in order.
    pub python_extra_indexes: Option<Vec<String>>,
    /// Debian mirrors by archive: `debian`, `debian-security`.
    pub deb_mirrors: BTreeMap<String, String>,
    /// Keyring that the Debian archives are signed with.
    pub deb_keyring: Option<PathBuf>,
    /// Snapshot service that still has the Debian packages which left their archive.
    pub snapshot: Option<String>,
    /// PEM file of certificate authorities to trust beside the system's.
    pub certificates: Option<PathBuf>,
    pub offline: bool,
    /// The trust policy.
    pub trust: Option<PathBuf>,
    /// Registries (`HOST[:PORT]`) that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Repositories (`HOST/REPOSITORY`) that have the images of runs.
    pub image_repositories: Vec<String>,
}

impl ConfigFile {
    /// Reads the file; one that is not there sets nothing.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::File { path: path.into(), source }),
        };
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        yaml::parse(&text).map_err(|source| SettingsError::Content { path: path.into(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_file_sets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        assert_eq!(ConfigFile::read(&path).unwrap(), ConfigFile::default());
        std::fs::write(&path, "# nothing yet\n\n").unwrap();
        assert_eq!(ConfigFile::read(&path).unwrap(), ConfigFile::default());
    }

    #[test]
    fn a_misspelt_key_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, "deb_mirror: {debian: file:///srv/debian}\n").unwrap();
        let error = ConfigFile::read(&path).unwrap_err();
        let SettingsError::Content { source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("did you mean `deb_mirrors`?"), "{source}");
    }
}
