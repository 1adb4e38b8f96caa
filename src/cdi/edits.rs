//! What a container needs in order to have some devices: the edits of each, and those of the
//! specification that it is from, once.

use std::path::PathBuf;

use super::specification::{ContainerEdits, Device, DeviceNode, HostFile, Specification};

/// Without doubles, in the order of the specifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    pub environment: Vec<(String, String)>,
    pub device_nodes: Vec<DeviceNode>,
    pub mounts: Vec<HostFile>,
    /// Programs that a runtime would call; for people.
    pub hooks: Vec<String>,
}

/// No specification has this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingDevice(pub String);

impl Edits {
    fn add(&mut self, more: &ContainerEdits) {
        let pair = |text: &String| {
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        extend(&mut self.environment, more.env.iter().filter_map(pair));
        extend(&mut self.device_nodes, more.device_nodes.iter().cloned());
        extend(&mut self.mounts, more.mounts.iter().cloned());
        extend(&mut self.hooks, more.hooks.iter().map(super::specification::Hook::shown));
    }

    /// The first file of the host that is not there.
    pub fn missing_file(&self) -> Option<PathBuf> {
        let nodes = self.device_nodes.iter().map(DeviceNode::on_host);
        let mut files = nodes.chain(self.mounts.iter().map(|mount| &mount.host_path));
        files.find(|path| !path.exists()).cloned()
    }
}

fn extend<T: PartialEq>(list: &mut Vec<T>, more: impl Iterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// What the devices called `names` need. A later specification goes over an earlier one.
pub fn edits(specifications: &[Specification], names: &[String]) -> Result<Edits, MissingDevice> {
    let mut all = Edits::default();
    for name in names {
        let (specification, device) =
            find(specifications, name).ok_or_else(|| MissingDevice(name.clone()))?;
        all.add(&device.container_edits);
        all.add(&specification.container_edits);
    }
    Ok(all)
}

fn find<'a>(
    specifications: &'a [Specification],
    name: &str,
) -> Option<(&'a Specification, &'a Device)> {
    let (kind, name) = name.split_once('=')?;
    specifications.iter().rev().filter(|specification| specification.kind == kind).find_map(|s| {
        let device = s.devices.iter().find(|device| device.name == name);
        device.map(|device| (s, device))
    })
}

/// The name of a GPU among `have`: by its UUID where devices are named so, as only that means the
/// same to everybody, else by its index.
pub fn device_name(have: &[String], index: u32, uuid: Option<&str>) -> Option<String> {
    let names = uuid.into_iter().map(str::to_owned).chain([index.to_string()]);
    let mut names = names.map(|name| format!("nvidia.com/gpu={name}"));
    names.find(|name| have.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIFICATION: &str = r"
kind: nvidia.com/gpu
devices:
- name: '0'
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}], env: [A=1]}
- name: '1'
  containerEdits: {deviceNodes: [{path: /dev/nvidia1, hostPath: /dev/other}]}
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  deviceNodes: [{path: /dev/nvidiactl}]
  mounts:
  - {hostPath: /usr/lib/libcuda.so.1, containerPath: /usr/lib/libcuda.so.1, options: [ro, bind]}
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args: [nvidia-cdi-hook, update-ldcache, --folder, /usr/lib]
";

    fn read(text: &str) -> Specification {
        serde_yaml::from_str(text).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn devices_bring_what_they_share_once() {
        let specification = [read(SPECIFICATION)];
        let edits =
            edits(&specification, &names(&["nvidia.com/gpu=0", "nvidia.com/gpu=1"])).unwrap();
        let nodes: Vec<_> =
            edits.device_nodes.iter().map(|n| n.on_host().to_str().unwrap()).collect();
        assert_eq!(nodes, ["/dev/nvidia0", "/dev/nvidiactl", "/dev/other"]);
        assert_eq!(edits.environment.len(), 2);
        assert_eq!(edits.mounts.len(), 1);
        assert!(!edits.mounts[0].is_writable());
        assert_eq!(edits.hooks, ["update-ldcache (nvidia-cdi-hook)"]);
        assert!(edits.missing_file().is_some());
    }

    #[test]
    fn a_device_is_there_or_named_as_missing() {
        let missing = edits(&[read(SPECIFICATION)], &names(&["nvidia.com/gpu=2"])).unwrap_err();
        assert_eq!(missing, MissingDevice("nvidia.com/gpu=2".into()));
    }

    #[test]
    fn the_later_specification_goes_over_the_earlier() {
        let later =
            read("kind: nvidia.com/gpu\ndevices: [{name: '0', containerEdits: {env: [A=2]}}]");
        let edits = edits(&[read(SPECIFICATION), later], &names(&["nvidia.com/gpu=0"])).unwrap();
        assert_eq!(edits.environment, [("A".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_gpu_is_named_by_its_uuid_where_it_can_be() {
        let have = names(&["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1", "nvidia.com/gpu=all"]);
        let name = |index, uuid| device_name(&have, index, uuid);
        assert_eq!(name(7, Some("GPU-1")).as_deref(), Some("nvidia.com/gpu=GPU-1"));
        assert_eq!(name(0, Some("GPU-2")).as_deref(), Some("nvidia.com/gpu=0"));
        assert_eq!(name(1, None), None);
    }
}
