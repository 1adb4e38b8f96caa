//! The Container Device Interface specifications of this host: which NVIDIA devices an engine could
//! be asked for by name.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Where specifications lie, per the CDI specification.
const FOLDERS: [&str; 2] = ["etc/cdi", "var/run/cdi"];

#[derive(Deserialize)]
struct Specification {
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
}

/// Fully qualified names, e.g. `nvidia.com/gpu=0`, sorted. A file that can't be read names none.
pub fn nvidia_devices(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(root.join(folder)).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| specification(&entry.path()))
        .filter(|specification| specification.kind.starts_with("nvidia.com/"))
        .flat_map(|s| s.devices.into_iter().map(move |d| format!("{}={}", s.kind, d.name)))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// JSON is YAML, so one reader does for both.
fn specification(path: &Path) -> Option<Specification> {
    let known = ["yaml", "yml", "json"];
    path.extension().and_then(|e| e.to_str()).filter(|e| known.contains(e))?;
    serde_yaml::from_str(&fs::read_to_string(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::host;
    use super::*;

    #[test]
    fn names_the_devices_of_both_folders_and_formats() {
        let root = host(&[
            (
                "etc/cdi/nvidia.yaml",
                "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n- name: all\n",
            ),
            (
                "var/run/cdi/n.json",
                r#"{"kind": "nvidia.com/gpu", "devices": [{"name": "1"}, {"name": "0"}]}"#,
            ),
            ("etc/cdi/other.yaml", "kind: example.com/net\ndevices: [{name: a}]\n"),
            ("etc/cdi/broken.yaml", "kind: [\n"),
            ("etc/cdi/README", "kind: nvidia.com/gpu\ndevices: [{name: x}]\n"),
        ]);
        assert_eq!(
            nvidia_devices(root.path()),
            ["nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all"]
        );
    }
}
