//! Which registries are spoken to without TLS, and where credentials for them are kept: Docker's
//! and Podman's own files.

use std::path::{Path, PathBuf};

use super::{ConfigFile, variable};

/// Settings about registries.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// `HOST[:PORT]` that may be spoken to over plain HTTP, or with a certificate that nobody
    /// vouches for.
    pub insecure: Vec<String>,
    /// `HOST/REPOSITORY` that have the images of runs, for those that are not in the store.
    pub images: Vec<String>,
    /// Files that may hold credentials; the first that has some for a host counts.
    pub credentials: Vec<PathBuf>,
}

/// Flags of the verbs that talk to a registry.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct RegistryFlags {
    /// Talk to the registry over plain HTTP, or with a certificate that nobody vouches for
    #[arg(long)]
    pub insecure: bool,
}

impl Registries {
    pub(super) fn resolve(file: &ConfigFile, here: &Path) -> Self {
        let credentials = credential_files().into_iter().map(|path| here.join(path)).collect();
        let (insecure, images) = (&file.insecure_registries, &file.image_repositories);
        Self { insecure: insecure.clone(), images: images.clone(), credentials }
    }

    /// Whether `host` may be spoken to without TLS.
    pub fn allows_insecure(&self, host: &str, flags: RegistryFlags) -> bool {
        flags.insecure || self.insecure.iter().any(|allowed| allowed == host)
    }
}

/// Podman's order for its own files; Docker's file is asked before them unless a file was named.
fn credential_files() -> Vec<PathBuf> {
    let home = variable("HOME");
    let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|h| h.join(".docker")));
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|h| h.join(".config")));
    let podman = |folder: Option<PathBuf>| folder.map(|f| f.join("containers/auth.json"));
    [
        variable("REGISTRY_AUTH_FILE"),
        docker.map(|folder| folder.join("config.json")),
        podman(variable("XDG_RUNTIME_DIR")),
        podman(config),
    ]
    .into_iter()
    .flatten()
    .collect()
}
