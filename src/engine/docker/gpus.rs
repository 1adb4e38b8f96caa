//! GPUs, as Docker's and Podman's API is asked for them: through CDI where the engine has their
//! names, else through NVIDIA's runtime. What comes of it is known once the container starts.

use bollard::errors::Error;
use bollard::models::DeviceRequest;

use super::connect::Facts;
use crate::cdi;
use crate::engine::{EngineError, Gpu};
use crate::plan::{HandOver, podman_hands_over};

pub fn requests(gpus: &[Gpu], facts: &Facts) -> Result<Option<Vec<DeviceRequest>>, EngineError> {
    if gpus.is_empty() {
        return Ok(None);
    }
    let request = match facts.kind {
        "podman" => podman(gpus, facts)?,
        _ => names(gpus, &facts.cdi_devices).map_or_else(|_| runtime(gpus), by_cdi),
    };
    Ok(Some(vec![request]))
}

fn podman(gpus: &[Gpu], facts: &Facts) -> Result<DeviceRequest, EngineError> {
    if !podman_hands_over(&facts.version) {
        let have = facts.version.clone();
        return Err(EngineError::Gpu(HandOver::PodmanTooOld { have }));
    }
    if facts.cdi_devices.is_empty() {
        let unreadable = facts.unreadable_specifications.clone();
        return Err(EngineError::Gpu(HandOver::NoCdiSpec { folders: cdi::folders(), unreadable }));
    }
    let have = || facts.cdi_devices.clone();
    let missing = |device| EngineError::Gpu(HandOver::DeviceNotInSpec { device, have: have() });
    names(gpus, &facts.cdi_devices).map(by_cdi).map_err(missing)
}

/// The GPUs' CDI names, or the first that is not among `have`.
fn names(gpus: &[Gpu], have: &[String]) -> Result<Vec<String>, String> {
    gpus.iter().map(|gpu| gpu.cdi_name(have)).collect()
}

fn by_cdi(names: Vec<String>) -> DeviceRequest {
    DeviceRequest { driver: Some("cdi".into()), device_ids: Some(names), ..Default::default() }
}

fn runtime(gpus: &[Gpu]) -> DeviceRequest {
    DeviceRequest {
        driver: Some("nvidia".into()),
        device_ids: Some(gpus.iter().map(Gpu::id).collect()),
        // Without the driver's libraries for computing there would be a device and no CUDA.
        capabilities: Some(vec![vec!["gpu".into(), "compute".into(), "utility".into()]]),
        ..Default::default()
    }
}

/// What stands behind an engine's refusal to create or start a container with GPUs.
pub fn explain(error: &Error, facts: &Facts) -> Option<HandOver> {
    let Error::DockerResponseServerError { message, .. } = error else { return None };
    let reason = message.trim().to_owned();
    if message.contains("could not select device driver") {
        return Some(HandOver::ToolkitMissing { engine: facts.kind.into(), reason });
    }
    let (_, devices) = message.split_once("unresolvable CDI devices ")?;
    let device = devices.split([',', ' ', ':']).next().unwrap_or_default().trim_matches('"');
    Some(HandOver::DeviceNotInSpec { device: device.into(), have: facts.cdi_devices.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(kind: &'static str, version: &str, cdi: &[&str]) -> Facts {
        Facts {
            kind,
            address: "unix:///run/engine.sock".into(),
            version: version.into(),
            storage_driver: "overlay2".into(),
            containerd_store: false,
            rootless: false,
            remaps_users: false,
            seccomp: None,
            cdi_devices: cdi.iter().map(|name| (*name).to_owned()).collect(),
            unreadable_specifications: Vec::new(),
        }
    }

    fn gpus() -> Vec<Gpu> {
        vec![Gpu { index: 0, uuid: Some("GPU-a".into()) }, Gpu { index: 2, uuid: None }]
    }

    fn sent(facts: &Facts) -> serde_json::Value {
        serde_json::to_value(requests(&gpus(), facts).unwrap()).unwrap()
    }

    fn refused(facts: &Facts) -> &'static str {
        match requests(&gpus(), facts).unwrap_err() {
            EngineError::Gpu(reason) => reason.code().name(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn docker_is_asked_through_cdi_where_it_has_the_names_else_through_the_runtime() {
        assert_eq!(requests(&[], &facts("docker", "28.2.2", &[])).unwrap(), None);
        assert_eq!(
            sent(&facts("docker", "28.2.2", &[])),
            json!([{
                "Driver": "nvidia",
                "DeviceIDs": ["GPU-a", "2"],
                "Capabilities": [["gpu", "compute", "utility"]],
            }])
        );
        let cdi = facts("docker", "28.2.2", &["nvidia.com/gpu=0", "nvidia.com/gpu=2"]);
        assert_eq!(
            sent(&cdi),
            json!([{ "Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=2"] }])
        );
        let some = facts("docker", "28.2.2", &["nvidia.com/gpu=0"]);
        assert_eq!(sent(&some)[0]["Driver"], "nvidia");
    }

    #[test]
    fn podman_is_asked_through_cdi_or_not_at_all() {
        let all = ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=0", "nvidia.com/gpu=2"];
        assert_eq!(
            sent(&facts("podman", "5.4.0", &all)),
            json!([{ "Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=2"] }])
        );
        assert_eq!(refused(&facts("podman", "5.3.2", &all)), "podman-too-old");
        assert_eq!(refused(&facts("podman", "4.9.3", &all)), "podman-too-old");
        assert_eq!(refused(&facts("podman", "5.10.0-dev", &[])), "no-cdi-spec");
        assert_eq!(refused(&facts("podman", "6.0.0", &all[..2])), "device-not-in-spec");
    }

    #[test]
    fn the_engines_words_are_understood() {
        let said = |message: &str| {
            let error =
                Error::DockerResponseServerError { status_code: 500, message: message.into() };
            explain(&error, &facts("docker", "28.2.2", &[])).map(|reason| reason.code().name())
        };
        assert_eq!(
            said("could not select device driver \"nvidia\" with capabilities: [[gpu]]"),
            Some("container-toolkit-missing")
        );
        assert_eq!(
            said("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=7"),
            Some("device-not-in-spec")
        );
        assert_eq!(said("no space left on device"), None);
    }
}
