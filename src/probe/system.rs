//! Operating system, kernel, C library, and what the kernel says of NVIDIA hardware without any of
//! NVIDIA's libraries. All from files below a given root.

use std::fs;
use std::path::Path;

use super::facts::{Fact, PciDevice, System};
use super::file::read;
use super::version::DriverVersion;

const NVIDIA_VENDOR: &str = "0x10de";
/// PCI base class of display controllers, VGA and 3D alike.
const DISPLAY_CLASS: &str = "0x03";

pub fn system(root: &Path) -> System {
    let kernel = read(root, "proc/sys/kernel/osrelease").map(|text| text.trim().to_owned());
    System {
        name: Fact::from_result(distribution(root)),
        wsl: Fact::from_result(kernel.clone().map(|k| k.to_lowercase().contains("microsoft"))),
        kernel: Fact::from_result(kernel),
        glibc: glibc(),
    }
}

fn distribution(root: &Path) -> Result<String, String> {
    let text = read(root, "etc/os-release").or_else(|_| read(root, "usr/lib/os-release"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches(['"', '\'']).to_owned())
        .ok_or_else(|| "os-release has no PRETTY_NAME".to_owned())
}

#[cfg(target_env = "gnu")]
fn glibc() -> Fact<String> {
    // SAFETY: the function takes nothing and returns a static, NUL-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Fact::Is(version.to_string_lossy().into_owned())
}

#[cfg(not(target_env = "gnu"))]
fn glibc() -> Fact<String> {
    Fact::unknown("this build of ybox doesn't use glibc")
}

/// NVIDIA's display devices on the PCI bus, in the order of their addresses.
pub fn nvidia_devices(root: &Path) -> Fact<Vec<PciDevice>> {
    let folder = root.join("sys/bus/pci/devices");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // A machine without a PCI bus has none, and that is known.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && root.join("sys").exists() => {
            return Fact::Is(Vec::new());
        }
        Err(error) => return Fact::unknown(format!("/sys/bus/pci/devices: {error}")),
    };
    let mut devices: Vec<_> = entries.flatten().filter_map(|e| nvidia_device(&e.path())).collect();
    devices.sort_by(|a, b| a.pci.cmp(&b.pci));
    Fact::Is(devices)
}

fn nvidia_device(folder: &Path) -> Option<PciDevice> {
    let value = |name| Some(fs::read_to_string(folder.join(name)).ok()?.trim().to_owned());
    let ours = value("vendor")? == NVIDIA_VENDOR && value("class")?.starts_with(DISPLAY_CLASS);
    ours.then_some(())?;
    let device = value("device")?;
    Some(PciDevice {
        pci: folder.file_name()?.to_string_lossy().into_owned(),
        id: format!("10de:{}", device.trim_start_matches("0x")),
        iommu: value("iommu_group/type"),
    })
}

/// NVIDIA's device nodes that are there but may not be opened, as in a container whose GPU was taken
/// away: what files allow, its own control group forbids.
pub fn barred_nodes(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let mut barred: Vec<_> = entries
        .filter(|entry| is_gpu_node(&entry.file_name().to_string_lossy()))
        .filter(|entry| fs::File::open(entry.path()).is_err_and(|error| is_barred(&error)))
        .map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()))
        .collect();
    barred.sort();
    barred
}

/// `nvidiactl`, `nvidia-uvm`, `nvidia0` and so on.
fn is_gpu_node(name: &str) -> bool {
    let number = name.strip_prefix("nvidia").and_then(|rest| rest.parse::<u32>().ok());
    ["nvidiactl", "nvidia-uvm"].contains(&name) || number.is_some()
}

/// A mode that forbids gives EACCES, a control group EPERM.
fn is_barred(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// Version of the loaded NVIDIA kernel module, if one is loaded.
pub fn kernel_module(root: &Path) -> Option<DriverVersion> {
    let named = read(root, "sys/module/nvidia/version").ok();
    named.and_then(|text| text.trim().parse().ok()).or_else(|| {
        let text = read(root, "proc/driver/nvidia/version").ok()?;
        let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
        line.split_whitespace().find_map(|word| word.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::host;
    use super::*;

    #[test]
    fn finds_display_devices_of_one_vendor() {
        let device = |slot: &str, vendor: &str, class: &str| {
            let file = |name: &str| format!("sys/bus/pci/devices/{slot}/{name}");
            [
                (file("vendor"), format!("{vendor}\n")),
                (file("class"), format!("{class}\n")),
                (file("device"), "0x1eb8\n".to_owned()),
            ]
        };
        let files: Vec<_> = [
            device("0000:41:00.0", "0x10de", "0x030200"),
            device("0000:01:00.0", "0x10de", "0x030000"),
            device("0000:01:00.1", "0x10de", "0x040300"),
            device("0000:02:00.0", "0x1002", "0x030000"),
        ]
        .concat();
        let root = host(&files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect::<Vec<_>>());
        let found = nvidia_devices(root.path());
        let slots: Vec<_> = found.known().unwrap().iter().map(|d| d.pci.as_str()).collect();
        assert_eq!(slots, ["0000:01:00.0", "0000:41:00.0"]);
        assert_eq!(found.known().unwrap()[0].id, "10de:1eb8");
    }

    #[test]
    fn reads_the_module_s_version_of_both_kinds() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19\n";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release\n";
        for (text, version) in [(closed, "535.129.03"), (open, "580.82.07")] {
            let root = host(&[("proc/driver/nvidia/version", text)]);
            assert_eq!(kernel_module(root.path()).unwrap().to_string(), version);
        }
        let root = host(&[("sys/module/nvidia/version", "595.71.05\n")]);
        assert_eq!(kernel_module(root.path()).unwrap().to_string(), "595.71.05");
        assert_eq!(kernel_module(host(&[]).path()), None);
    }

    #[test]
    fn tells_windows_underneath() {
        let root = host(&[
            ("proc/sys/kernel/osrelease", "6.6.87.2-microsoft-standard-WSL2\n"),
            ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
        ]);
        let system = system(root.path());
        assert_eq!(system.wsl, Fact::Is(true));
        assert_eq!(system.name, Fact::Is("Debian GNU/Linux 13 (trixie)".into()));
    }
}
