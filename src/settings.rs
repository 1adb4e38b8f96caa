//! Flags over environment over file over defaults, resolved once into an immutable struct. Nothing
//! deeper reads an environment variable.

mod downloads;
mod file;
mod registries;
pub mod yaml;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use downloads::{DownloadFlags, Downloads, Host, folder_url};
pub use file::ConfigFile;
pub use registries::{Registries, RegistryFlags};

use crate::ui::{Explain, Failure};

/// Flags that every verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Folder for downloads and images [default: ~/.local/share/ybox]
    #[arg(long, global = true, env = "YBOX_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Folder with docker/ and configs/ [default: the nearest one upwards from here]
    #[arg(long, global = true, env = "YBOX_PROJECT", value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Trust policy [default: trust.yaml beside the settings file, else the project's]
    #[arg(long, global = true, env = "YBOX_TRUST", value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Machine-readable output: JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub downloads: DownloadFlags,
}

/// Resolved settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where downloads and images are kept. Absolute.
    pub home: PathBuf,
    /// Where `docker/` and `configs/` lie, if there is such a folder. Absolute.
    pub project: Option<PathBuf>,
    pub json: bool,
    pub downloads: Downloads,
    pub registries: Registries,
    /// The trust policy, if there is one. Absolute.
    pub trust: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no home folder: neither --home, YBOX_HOME, XDG_DATA_HOME nor HOME is set")]
    NoHome,
    #[error("cannot tell the working directory: {0}")]
    WorkingDirectory(std::io::Error),
    #[error("cannot read the settings in {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the settings in {path} are not valid")]
    Content { path: PathBuf, source: yaml::YamlError },
    #[error("{setting}: `{value}` is neither a URL nor an absolute folder")]
    Url { setting: String, value: String },
}

impl Explain for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("say where with --home DIR".into()),
            Self::Url { .. } => {
                Some("write it as https://HOST/PATH, or as a folder of this machine".into())
            }
            _ => None,
        }
    }
}

impl Settings {
    /// Those of a machine on which nothing else is set than ybox's home.
    pub fn of_home(home: PathBuf) -> Self {
        let (downloads, registries) = (Downloads::default(), Registries::default());
        Self { home, project: None, json: false, downloads, registries, trust: None }
    }

    pub fn resolve(flags: Flags) -> Result<Self, Failure> {
        let here = std::env::current_dir().map_err(SettingsError::WorkingDirectory)?;
        let home = flags.home.or_else(default_home).ok_or(SettingsError::NoHome)?;
        let project = match flags.project {
            Some(project) => Some(here.join(project)),
            None => here
                .ancestors()
                .find(|d| d.join("docker").join("cpu.yaml").is_file())
                .map(Into::into),
        };
        let folder = config_folder().map(|folder| folder.join("ybox"));
        let file = match &folder {
            Some(folder) => ConfigFile::read(&folder.join("config.yaml"))?,
            None => ConfigFile::default(),
        };
        let said = flags.trust.or(file.trust.clone()).map(|path| here.join(path));
        // Who runs ybox comes before who wrote the project.
        let found = [folder.as_ref(), project.as_ref()].into_iter().flatten();
        let found = found.map(|folder| folder.join("trust.yaml")).find(|path| may_be_there(path));
        let trust = said.or(found);
        let registries = Registries::resolve(&file, &here);
        let downloads = Downloads::resolve(flags.downloads, file, &here)?;
        Ok(Self { home: here.join(home), project, json: flags.json, downloads, registries, trust })
    }
}

/// One that cannot be looked at counts: a policy must not go by its being out of sight.
fn may_be_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

fn default_home() -> Option<PathBuf> {
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("ybox"))
}

fn config_folder() -> Option<PathBuf> {
    variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}
