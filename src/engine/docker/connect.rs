//! Finding the engine, and what it says of itself.

use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error;
use bollard::models::{SystemInfo, SystemVersion};
use serde_json::{Map, Value, json};

use super::Docker;
use crate::cdi;
use crate::engine::{Caller, EngineError, EngineInfo, Host, is_podman};
use crate::image::Store;

/// How long an engine may take to say its version before it counts as not answering.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds for one request; loading a CUDA image from a slow disk is the longest.
const REQUEST: u64 = 3600;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `docker` or `podman`.
    pub kind: &'static str,
    pub address: String,
    pub version: String,
    pub storage_driver: String,
    /// Images are kept by containerd, whose ids are manifest digests.
    pub containerd_store: bool,
    pub rootless: bool,
    /// The daemon maps ids inside to others outside unless told not to.
    pub remaps_users: bool,
    pub seccomp: Option<String>,
    /// CDI devices that it can be asked for.
    pub cdi_devices: Vec<String>,
    /// CDI specifications that Podman can't read either, with why.
    pub unreadable_specifications: Vec<String>,
}

impl Facts {
    fn new(address: &str, version: SystemVersion, info: &SystemInfo) -> Self {
        let security = info.security_options.as_deref().unwrap_or_default();
        let has = |name: &str| security.iter().any(|o| o.split(',').any(|p| p == name));
        let seccomp = security.iter().find_map(|o| o.strip_prefix("name=seccomp,profile="));
        Self {
            kind: kind(&version),
            address: address.to_owned(),
            version: version.version.unwrap_or_default(),
            storage_driver: info.driver.clone().unwrap_or_default(),
            containerd_store: info
                .driver_status
                .iter()
                .flatten()
                .any(|pair| pair.iter().any(|v| v.starts_with("io.containerd.snapshotter"))),
            rootless: has("name=rootless"),
            remaps_users: has("name=userns"),
            seccomp: seccomp.map(str::to_owned),
            cdi_devices: cdi_devices(info),
            unreadable_specifications: Vec::new(),
        }
    }

    pub fn info(&self) -> EngineInfo {
        let store = if self.containerd_store { "containerd" } else { "engine" };
        let mut details = Map::new();
        let mut say = |key: &str, value: Value| details.insert(key.into(), value);
        say("storage_driver", json!(self.storage_driver));
        say("image_store", json!(store));
        say("rootless", json!(self.rootless));
        say("pids_limit", json!("cgroup"));
        say("seccomp", json!(self.seccomp));
        EngineInfo { kind: self.kind.into(), version: self.version.clone(), details }
    }
}

fn cdi_devices(info: &SystemInfo) -> Vec<String> {
    let devices = info.discovered_devices.iter().flatten();
    let cdi = devices.filter(|device| device.source.as_deref() == Some("cdi"));
    cdi.filter_map(|device| device.id.clone()).collect()
}

fn kind(version: &SystemVersion) -> &'static str {
    if is_podman(version) { "podman" } else { "docker" }
}

impl Docker {
    /// The first engine of this kind that answers at one of `addresses`.
    pub fn connect(
        kind: &'static str,
        addresses: &[String],
        host: &Host,
        store: &Store,
    ) -> Result<Self, EngineError> {
        let caller = host.caller;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EngineError::io("start the asynchronous runtime"))?;
        let mut reasons = Vec::new();
        for address in addresses {
            match runtime
                .block_on(ask(address))
                .and_then(|(api, facts)| fits(&facts, kind, &caller).map(|()| (api, facts)))
            {
                Ok((api, mut facts)) => {
                    // Podman's API does not tell; it reads the same specifications.
                    if facts.kind == "podman" {
                        facts.cdi_devices = cdi::nvidia_devices(&host.cdi_root);
                        facts.unreadable_specifications = cdi::unreadable(&host.cdi_root);
                    }
                    return Ok(Self { runtime, api, facts, caller, store: store.clone() });
                }
                Err(reason) => reasons.push(reason),
            }
        }
        Err(EngineError::NotAnswering { engine: kind, reason: reasons.join(", ") })
    }
}

fn fits(facts: &Facts, wanted: &str, caller: &Caller) -> Result<(), String> {
    if facts.kind != wanted {
        return Err(format!("at {} answers {}", facts.address, facts.kind));
    }
    if facts.rootless && caller.is_root() {
        return Err(format!(
            "the engine at {} is rootless and can't give files to root: call ybox as its user",
            facts.address
        ));
    }
    Ok(())
}

async fn ask(address: &str) -> Result<(bollard::Docker, Facts), String> {
    let api = client(address).map_err(|e| unreachable(address, &e))?;
    let asked = async {
        let api = api.negotiate_version().await?;
        let (version, info) = (api.version().await?, api.info().await?);
        Ok((api, Facts::new(address, version, &info)))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|e| unreachable(address, &e)),
        Err(_) => Err(format!("{address} is silent")),
    }
}

fn client(address: &str) -> Result<bollard::Docker, Error> {
    match address.split_once("://") {
        Some(("unix", path)) => {
            bollard::Docker::connect_with_unix(path, REQUEST, API_DEFAULT_VERSION)
        }
        Some(("tcp" | "http", _)) => {
            bollard::Docker::connect_with_http(address, REQUEST, API_DEFAULT_VERSION)
        }
        _ => Err(Error::UnsupportedURISchemeError { uri: address.into() }),
    }
}

fn unreachable(address: &str, error: &Error) -> String {
    match error {
        Error::SocketNotFoundError(path) => format!("there is no {path}"),
        Error::UnsupportedURISchemeError { .. } => {
            format!("{address} is neither a unix:// nor a tcp:// address")
        }
        _ => format!("{address}: {}", innermost(error)),
    }
}

/// The last cause: the ones above it only say that a request failed.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemVersionComponents;

    use super::*;

    fn version(component: &str) -> SystemVersion {
        SystemVersion {
            version: Some("28.2".into()),
            components: Some(vec![SystemVersionComponents {
                name: component.into(),
                ..Default::default()
            }]),
            ..Default::default()
        }
    }

    fn info(options: &[&str], status: &[[&str; 2]]) -> SystemInfo {
        SystemInfo {
            driver: Some("overlay2".into()),
            security_options: Some(options.iter().map(|o| (*o).into()).collect()),
            driver_status: Some(
                status.iter().map(|pair| pair.iter().map(|v| (*v).into()).collect()).collect(),
            ),
            ..Default::default()
        }
    }

    #[test]
    fn tells_docker_from_podman() {
        let info = info(&[], &[]);
        assert_eq!(Facts::new("a", version("Engine"), &info).kind, "docker");
        assert_eq!(Facts::new("a", version("Podman Engine"), &info).kind, "podman");
    }

    #[test]
    fn reads_the_security_options_and_the_image_store() {
        let options = ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"];
        let status = [["driver-type", "io.containerd.snapshotter.v1"]];
        let facts = Facts::new("a", version("Engine"), &info(&options, &status));
        assert!(facts.rootless && facts.containerd_store && !facts.remaps_users);
        assert_eq!(facts.seccomp.as_deref(), Some("builtin"));
        let facts = Facts::new("a", version("Engine"), &info(&["name=userns"], &[["a", "b"]]));
        assert!(!facts.rootless && !facts.containerd_store && facts.remaps_users);
    }

    #[test]
    fn root_is_not_served_by_a_rootless_engine_of_someone_else() {
        let facts = Facts::new("a", version("Engine"), &info(&["name=rootless"], &[]));
        let fits = |uid| fits(&facts, "docker", &Caller { ids: (uid, uid), sudo: None });
        assert!(fits(0).unwrap_err().contains("rootless"));
        assert!(fits(1000).is_ok());
    }

    #[test]
    fn an_address_of_another_kind_is_named() {
        let error = client("ssh://somewhere").unwrap_err();
        assert_eq!(
            unreachable("ssh://somewhere", &error),
            "ssh://somewhere is neither a unix:// nor a tcp:// address"
        );
    }
}
