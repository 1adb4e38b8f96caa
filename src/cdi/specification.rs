//! The form of a CDI specification, as far as a container runtime reads it.
//! <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Specification {
    /// Vendor and class, e.g. `nvidia.com/gpu`.
    pub kind: String,
    #[serde(default)]
    pub devices: Vec<Device>,
    /// What every device of this specification needs too.
    #[serde(default)]
    pub container_edits: ContainerEdits,
}

impl Specification {
    /// The fully qualified names of its devices.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.devices.iter().map(|device| format!("{}={}", self.kind, device.name))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    pub name: String,
    #[serde(default)]
    pub container_edits: ContainerEdits,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerEdits {
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    pub device_nodes: Vec<DeviceNode>,
    pub mounts: Vec<HostFile>,
    pub hooks: Vec<Hook>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceNode {
    /// In the container.
    pub path: PathBuf,
    /// On the host; the same as `path` where it isn't said.
    host_path: Option<PathBuf>,
}

impl DeviceNode {
    pub fn on_host(&self) -> &PathBuf {
        self.host_path.as_ref().unwrap_or(&self.path)
    }
}

/// A file or folder of the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostFile {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    #[serde(default)]
    pub options: Vec<String>,
}

impl HostFile {
    pub fn is_writable(&self) -> bool {
        self.options.iter().any(|option| option == "rw")
    }
}

/// A program that a runtime calls on the way.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    pub hook_name: String,
    pub path: PathBuf,
    #[serde(default)]
    pub args: Vec<String>,
}

impl Hook {
    /// For people: `update-ldcache (nvidia-cdi-hook)`.
    pub fn shown(&self) -> String {
        let program = self.path.file_name().unwrap_or_default().to_string_lossy();
        // NVIDIA's take what they do as an argument.
        let mut words = self.args.iter().map(String::as_str).skip(1);
        let what = words.find(|word| *word != "hook" && !word.starts_with('-'));
        format!("{} ({program})", what.unwrap_or(&self.hook_name))
    }
}
