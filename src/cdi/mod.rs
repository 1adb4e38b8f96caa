//! The Container Device Interface: which devices the specifications on this host name, and what a
//! container needs in order to have one. Nothing here touches a device.

mod edits;
mod specification;

use std::fs;
use std::path::{Path, PathBuf};

pub use edits::{Edits, MissingDevice, device_name, edits};
pub use specification::{DeviceNode, HostFile, Specification};

/// Where specifications lie, per the CDI specification: the later folder goes over the earlier.
const FOLDERS: [&str; 2] = ["etc/cdi", "var/run/cdi"];

/// The same, for people.
pub fn folders() -> String {
    FOLDERS.map(|folder| format!("/{folder}")).join(" or ")
}

/// Those of NVIDIA's devices below `root`, in the order of their precedence, the least first. A file
/// that can't be read holds none.
pub fn nvidia_specifications(root: &Path) -> Vec<Specification> {
    let read = files(root).filter_map(|path| specification(&path).ok());
    read.filter(|specification| specification.kind.starts_with("nvidia.com/")).collect()
}

/// The files that can't be read, whoever's devices they are of, each with why.
pub fn unreadable(root: &Path) -> Vec<String> {
    let why = |path: PathBuf| Some(format!("{}: {}", path.display(), specification(&path).err()?));
    files(root).filter_map(why).collect()
}

/// Fully qualified names, e.g. `nvidia.com/gpu=0`, sorted.
pub fn nvidia_devices(root: &Path) -> Vec<String> {
    names(&nvidia_specifications(root))
}

/// Those of `specifications`.
pub fn names(specifications: &[Specification]) -> Vec<String> {
    let mut names: Vec<_> = specifications.iter().flat_map(Specification::names).collect();
    names.sort();
    names.dedup();
    names
}

fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let is_one = |path: &PathBuf| {
        let known = ["yaml", "yml", "json"];
        path.extension().and_then(|e| e.to_str()).is_some_and(|e| known.contains(&e))
    };
    FOLDERS.iter().flat_map(move |folder| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_one).collect();
        files.sort();
        files
    })
}

/// JSON is YAML, so one reader does for both.
fn specification(path: &Path) -> Result<Specification, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_yaml::from_str(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_devices_of_both_folders_and_formats() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
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
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(
            nvidia_devices(root.path()),
            ["nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all"]
        );
        let unreadable = unreadable(root.path());
        assert!(unreadable.len() == 1 && unreadable[0].contains("etc/cdi/broken.yaml: "));
    }
}
