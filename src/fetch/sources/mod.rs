//! Where to fetch from: the settings, else what pip and apt of this machine are set to. Everything
//! that is asked of the machine is asked at most once, and only when it is needed.

mod apt;
mod debootstrap;
mod pip;

use std::path::PathBuf;
use std::sync::OnceLock;

use reqwest::Url;

use crate::settings::Downloads;
use crate::ui::Explain;

#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    #[error("no Python package index: YBOX_PYTHON_INDEX is not set, and there is no pip to ask")]
    NoPythonIndex,
    #[error("no mirror of the Debian archive `{archive}`: none is set, and apt here has none")]
    NoDebMirror { archive: String },
    #[error("no keyring to check the Debian archive `{archive}` with")]
    NoKeyring { archive: String },
}

impl Explain for SourceError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoPythonIndex => "set YBOX_PYTHON_INDEX, or `python_index` in ybox's \
                                    config.yaml, to the address of an index's simple API"
                .into(),
            Self::NoDebMirror { archive } => mirror_hint(archive),
            Self::NoKeyring { .. } => "install the package debian-archive-keyring, or set \
                                       YBOX_DEB_KEYRING to the keyring's file"
                .into(),
        })
    }

    fn exit(&self) -> u8 {
        1
    }
}

fn mirror_hint(archive: &str) -> String {
    let setting = match archive {
        "debian" => "YBOX_DEB_MIRROR, or",
        "debian-security" => "YBOX_DEB_SECURITY_MIRROR, or",
        _ => "",
    };
    format!("set {setting} `deb_mirrors: {{{archive}: URL}}` in ybox's config.yaml")
}

/// A Debian archive: where it is, and what apt checks it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebSource {
    pub url: Url,
    pub signed_by: Option<SignedBy>,
}

/// apt's `Signed-By`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    File(PathBuf),
    /// An armored key in the sources file itself.
    Key(String),
}

/// Answers where to fetch from.
#[derive(Debug)]
pub struct Sources {
    settings: Downloads,
    pip: OnceLock<Option<String>>,
    python: OnceLock<Option<Url>>,
    python_extra: OnceLock<Vec<Url>>,
    apt: OnceLock<Vec<apt::Entry>>,
}

impl Sources {
    pub fn new(settings: &Downloads) -> Self {
        Self {
            settings: settings.clone(),
            pip: OnceLock::new(),
            python: OnceLock::new(),
            python_extra: OnceLock::new(),
            apt: OnceLock::new(),
        }
    }

    pub fn snapshot(&self) -> Option<&Url> {
        self.settings.snapshot.as_ref()
    }

    /// Programs that can check the archives' signatures.
    pub fn verifiers(&self) -> &[String] {
        &self.settings.host.verifiers
    }

    /// Root of the Python package index; ends in `/`. May start pip.
    pub fn python_index(&self) -> Result<Url, SourceError> {
        let index = self.python.get_or_init(|| {
            let asked = || pip::index(self.pip_settings(), &self.settings.host);
            self.settings.python_index.clone().or_else(asked)
        });
        index.clone().ok_or(SourceError::NoPythonIndex)
    }

    /// Further indexes, in order. May start pip.
    pub fn python_extra_indexes(&self) -> &[Url] {
        self.python_extra.get_or_init(|| match &self.settings.python_extra_indexes {
            Some(indexes) => indexes.clone(),
            None => pip::extra_indexes(self.pip_settings()),
        })
    }

    fn pip_settings(&self) -> Option<&str> {
        self.pip.get_or_init(|| pip::settings(&self.settings.host)).as_deref()
    }

    /// The archive `debian` or `debian-security`.
    pub fn deb(&self, archive: &str) -> Result<DebSource, SourceError> {
        let from_apt = apt::find(self.apt_entries(), archive);
        if let Some(url) = self.settings.deb_mirrors.get(archive) {
            let signed_by = from_apt.and_then(|source| source.signed_by);
            return Ok(DebSource { url: url.clone(), signed_by });
        }
        from_apt
            .or_else(|| self.guess(archive))
            .ok_or_else(|| SourceError::NoDebMirror { archive: archive.into() })
    }

    /// A mirror of `debian` usually has `debian-security` beside it; whether it does shows when its
    /// signature is checked.
    fn guess(&self, archive: &str) -> Option<DebSource> {
        if archive == "debian" {
            let url = debootstrap::default_mirror(&self.settings.host.debootstrap)?;
            return Some(DebSource { url, signed_by: None });
        }
        let debian = self.deb("debian").ok()?;
        let url = debian.url.join(&format!("../{archive}/")).ok()?;
        Some(DebSource { url, ..debian })
    }

    /// The key material to check `source` with: the setting, apt's, or the machine's keyring.
    pub fn keyring(&self, archive: &str, source: &DebSource) -> Result<SignedBy, SourceError> {
        if let Some(path) = &self.settings.deb_keyring {
            return Ok(SignedBy::File(path.clone()));
        }
        if let Some(signed_by) = &source.signed_by {
            return Ok(signed_by.clone());
        }
        ["debian-archive-keyring.gpg", "debian-archive-keyring.pgp"]
            .map(|name| self.settings.host.keyrings.join(name))
            .into_iter()
            .find(|path| path.is_file())
            .map(SignedBy::File)
            .ok_or_else(|| SourceError::NoKeyring { archive: archive.into() })
    }

    fn apt_entries(&self) -> &[apt::Entry] {
        self.apt.get_or_init(|| apt::read(&self.settings.host.apt))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::settings::Host;

    fn machine() -> (tempfile::TempDir, Downloads) {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            pythons: vec![],
            pip: None,
            apt: dir.path().join("apt"),
            debootstrap: dir.path().join("debootstrap"),
            keyrings: dir.path().join("keyrings"),
            verifiers: vec![],
        };
        for folder in ["apt", "debootstrap/scripts", "keyrings"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        (dir, Downloads { host, ..Downloads::default() })
    }

    #[test]
    fn a_machine_that_knows_nothing_says_what_to_set() {
        let (_dir, settings) = machine();
        let sources = Sources::new(&settings);
        let index = sources.python_index().unwrap_err();
        assert!(index.hint().unwrap().contains("YBOX_PYTHON_INDEX"));
        let mirror = sources.deb("debian-security").unwrap_err();
        assert!(mirror.hint().unwrap().contains("YBOX_DEB_SECURITY_MIRROR"));
    }

    #[test]
    fn where_apt_has_no_debian_debootstrap_does() {
        let (dir, settings) = machine();
        let script = dir.path().join("debootstrap/scripts/sid");
        fs::write(script, "default_mirror http://mirror.test/debian\nvariants - x\n").unwrap();
        let sources = Sources::new(&settings);
        assert_eq!(sources.deb("debian").unwrap().url.as_str(), "http://mirror.test/debian/");
        assert_eq!(
            sources.deb("debian-security").unwrap().url.as_str(),
            "http://mirror.test/debian-security/"
        );
    }

    #[test]
    fn a_mirror_that_is_set_keeps_the_keyring_of_apt() {
        let (dir, mut settings) = machine();
        let list = "deb [signed-by=/k/debian.gpg] http://apt.test/debian trixie main\n";
        fs::write(dir.path().join("apt/sources.list"), list).unwrap();
        let own = Url::parse("http://own.test/debian/").unwrap();
        settings.deb_mirrors.insert("debian".into(), own.clone());
        let sources = Sources::new(&settings);
        let source = sources.deb("debian").unwrap();
        assert_eq!(source.url, own);
        let keyring = sources.keyring("debian", &source).unwrap();
        assert_eq!(keyring, SignedBy::File("/k/debian.gpg".into()));
    }
}
