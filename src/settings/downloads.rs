//! Where downloads come from, as far as someone has said so. What nobody has said is asked of pip
//! and apt by `fetch`, and only when something has to be downloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::FalseyValueParser;
use reqwest::Url;

use super::{ConfigFile, SettingsError};

/// Flags of the verbs that download.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Downloads")]
pub struct DownloadFlags {
    /// Use only what was downloaded before
    #[arg(long, global = true, env = "YBOX_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
    /// Folder of `ybox fetch --all`: looked in before anything is downloaded
    #[arg(long, global = true, env = "YBOX_CARRIED", value_name = "DIR", hide_short_help = true)]
    pub carried: Option<PathBuf>,
    /// Python package index [default: pip's]
    #[arg(
        long,
        global = true,
        env = "YBOX_PYTHON_INDEX",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
    pub python_index: Option<String>,
    /// Further indexes, for what that one lacks; may be given more than once [default: pip's]
    #[arg(
        long,
        global = true,
        env = "YBOX_PYTHON_EXTRA_INDEX",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ' ',
        hide_short_help = true
    )]
    pub python_extra_index: Vec<String>,
    /// Debian mirror [default: apt's]
    #[arg(
        long,
        global = true,
        env = "YBOX_DEB_MIRROR",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
    pub deb_mirror: Option<String>,
    /// Mirror of Debian's security archive [default: apt's]
    #[arg(
        long,
        global = true,
        env = "YBOX_DEB_SECURITY_MIRROR",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
    pub deb_security_mirror: Option<String>,
    /// Keyring of the Debian archives [default: apt's]
    #[arg(
        long,
        global = true,
        env = "YBOX_DEB_KEYRING",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub deb_keyring: Option<PathBuf>,
    /// Snapshot service for packages that left their archive
    #[arg(
        long,
        global = true,
        env = "YBOX_SNAPSHOT",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
    pub snapshot: Option<String>,
    /// Certificate authorities to trust beside the system's
    #[arg(long, global = true, env = "PIP_CERT", value_name = "FILE", hide_short_help = true)]
    pub certificates: Option<PathBuf>,
}

/// Resolved download settings. Every URL ends in `/`.
#[derive(Debug, Clone)]
pub struct Downloads {
    pub offline: bool,
    /// Inputs that were brought along. Absolute.
    pub carried: Option<PathBuf>,
    pub python_index: Option<Url>,
    /// For what that index lacks, in order; none if pip is to be asked.
    pub python_extra_indexes: Option<Vec<Url>>,
    /// By archive: `debian`, `debian-security`.
    pub deb_mirrors: BTreeMap<String, Url>,
    pub deb_keyring: Option<PathBuf>,
    pub snapshot: Option<Url>,
    pub certificates: Option<PathBuf>,
    /// The tools of this machine that know where packages come from.
    pub host: Host,
    /// Pause before the first retry; each later one doubles it.
    pub retry_delay: Duration,
}

/// Where the package managers of this machine keep their configuration.
#[derive(Debug, Clone)]
pub struct Host {
    /// Python interpreters to ask for pip's configuration, in order.
    pub pythons: Vec<String>,
    /// A pip of its own to ask where no Python has one.
    pub pip: Option<String>,
    pub apt: PathBuf,
    pub debootstrap: PathBuf,
    pub keyrings: PathBuf,
    /// Programs that check OpenPGP signatures (gpgv, sqv), in order.
    pub verifiers: Vec<String>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            pythons: vec!["python3".into(), "python".into()],
            pip: Some("pip".into()),
            apt: "/etc/apt".into(),
            debootstrap: "/usr/share/debootstrap".into(),
            keyrings: "/usr/share/keyrings".into(),
            verifiers: vec!["gpgv".into(), "sqv".into()],
        }
    }
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            offline: false,
            carried: None,
            python_index: None,
            python_extra_indexes: None,
            deb_mirrors: BTreeMap::new(),
            deb_keyring: None,
            snapshot: None,
            certificates: None,
            host: Host::default(),
            retry_delay: Duration::from_millis(500),
        }
    }
}

impl Downloads {
    pub(super) fn resolve(
        flags: DownloadFlags,
        file: ConfigFile,
        here: &Path,
    ) -> Result<Self, SettingsError> {
        let pip = std::env::var("PIP_INDEX_URL").ok().filter(|v| !v.is_empty());
        let python_index = first([
            ("YBOX_PYTHON_INDEX", flags.python_index),
            ("python_index", file.python_index),
            ("PIP_INDEX_URL", pip),
        ])?;
        let extra = extra_indexes(flags.python_extra_index, file.python_extra_indexes)?;
        let snapshot = first([("YBOX_SNAPSHOT", flags.snapshot), ("snapshot", file.snapshot)])?;
        let mut mirrors = BTreeMap::new();
        for (archive, url) in file.deb_mirrors {
            mirrors.insert(archive.clone(), url_setting(&format!("deb_mirrors.{archive}"), &url)?);
        }
        for (archive, setting, url) in [
            ("debian", "YBOX_DEB_MIRROR", flags.deb_mirror),
            ("debian-security", "YBOX_DEB_SECURITY_MIRROR", flags.deb_security_mirror),
        ] {
            if let Some(url) = url.filter(|url| !url.is_empty()) {
                mirrors.insert(archive.into(), url_setting(setting, &url)?);
            }
        }
        let absolute = |path: PathBuf| here.join(path);
        Ok(Self {
            offline: flags.offline || file.offline,
            carried: flags.carried.map(absolute),
            python_index,
            python_extra_indexes: extra,
            deb_mirrors: mirrors,
            deb_keyring: flags.deb_keyring.or(file.deb_keyring).map(absolute),
            snapshot,
            certificates: flags.certificates.or(file.certificates).map(absolute),
            ..Self::default()
        })
    }
}

/// The first of the settings that is set; pip's variable holds several with white space between.
fn extra_indexes(
    flags: Vec<String>,
    file: Option<Vec<String>>,
) -> Result<Option<Vec<Url>>, SettingsError> {
    const PIP: &str = "PIP_EXTRA_INDEX_URL";
    let pip = || {
        let value = std::env::var(PIP).ok()?;
        Some(value.split_whitespace().map(str::to_owned).collect())
    };
    let flags: Vec<String> = flags.into_iter().filter(|url| !url.is_empty()).collect();
    let (setting, urls) = if !flags.is_empty() {
        ("YBOX_PYTHON_EXTRA_INDEX", Some(flags))
    } else if file.is_some() {
        ("python_extra_indexes", file)
    } else {
        (PIP, pip())
    };
    let parsed = |urls: Vec<String>| urls.iter().map(|url| url_setting(setting, url)).collect();
    urls.map(parsed).transpose()
}

/// The first of the settings that is set.
fn first<const N: usize>(
    settings: [(&str, Option<String>); N],
) -> Result<Option<Url>, SettingsError> {
    settings
        .into_iter()
        .find_map(|(setting, value)| {
            value.filter(|v| !v.is_empty()).map(|value| url_setting(setting, &value))
        })
        .transpose()
}

fn url_setting(setting: &str, value: &str) -> Result<Url, SettingsError> {
    folder_url(value)
        .ok_or_else(|| SettingsError::Url { setting: setting.into(), value: value.into() })
}

/// A URL (`http`, `https` or `file`) or an absolute folder, as a URL that ends in `/`.
pub fn folder_url(value: &str) -> Option<Url> {
    let value = value.trim();
    let mut url = if value.starts_with('/') {
        Url::from_directory_path(value).ok()?
    } else {
        Url::parse(value).ok()?
    };
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file() {
        let flags = DownloadFlags {
            deb_mirror: Some("http://flag.test/debian".into()),
            ..DownloadFlags::default()
        };
        let file = ConfigFile {
            deb_mirrors: BTreeMap::from([
                ("debian".into(), "http://file.test/debian".into()),
                ("debian-security".into(), "/srv/security".into()),
            ]),
            ..ConfigFile::default()
        };
        let settings = Downloads::resolve(flags, file, Path::new("/here")).unwrap();
        assert_eq!(settings.deb_mirrors["debian"].as_str(), "http://flag.test/debian/");
        assert_eq!(settings.deb_mirrors["debian-security"].as_str(), "file:///srv/security/");
    }

    #[test]
    fn what_is_no_url_is_refused_by_name() {
        for bad in ["packages.test/simple", "ftp://packages.test", ""] {
            let error = url_setting("YBOX_PYTHON_INDEX", bad).unwrap_err();
            assert!(error.to_string().starts_with("YBOX_PYTHON_INDEX: "), "{error}");
        }
    }
}
