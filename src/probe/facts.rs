//! What can be known about a host: plain data that serialises as `ybox.facts/v1`. A fact that could
//! not be read says so, with the reason, instead of a guess.

use serde::{Deserialize, Serialize};

use super::version::{Capability, CudaVersion, DriverVersion};

/// Value of `schema` in facts of this form.
pub const SCHEMA: &str = "ybox.facts/v1";

/// A fact, its absence, or why it isn't known. In JSON: the value itself, `{"absent": reason}` or
/// `{"unknown": reason}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact<T> {
    Unknown { unknown: String },
    Absent { absent: String },
    Is(T),
}

impl<T> Fact<T> {
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { unknown: reason.into() }
    }

    pub fn absent(reason: impl Into<String>) -> Self {
        Self::Absent { absent: reason.into() }
    }

    pub fn from_result(result: Result<T, String>) -> Self {
        result.map_or_else(Self::unknown, Self::Is)
    }

    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Is(value) => Fact::Is(change(value)),
            Self::Absent { absent } => Fact::Absent { absent },
            Self::Unknown { unknown } => Fact::Unknown { unknown },
        }
    }

    /// Why there is no value; empty when there is one.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unknown { unknown: reason } | Self::Absent { absent: reason } => reason,
            Self::Is(_) => "",
        }
    }

    /// This fact, or `other` if only that one is known.
    pub fn or(self, other: Self) -> Self {
        if self.known().is_none() && other.known().is_some() { other } else { self }
    }
}

/// Everything that is known about a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub schema: String,
    /// Set when these facts were given by hand: what was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretended: Option<String>,
    pub cpu: Cpu,
    pub memory: Memory,
    pub system: System,
    pub driver: Fact<Driver>,
    /// The GPUs that the NVIDIA driver shows, in the order of their PCI addresses.
    pub gpus: Fact<Vec<Gpu>>,
    /// GPUs without access to each other's memory, as far as the driver tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// NVIDIA display devices on the PCI bus, whether or not a driver shows them.
    pub nvidia_devices: Fact<Vec<PciDevice>>,
    /// Device nodes of the driver that are there, but that control groups keep from being opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barred_nodes: Vec<String>,
    pub engines: Engines,
    pub container_toolkit: Fact<ContainerToolkit>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// As in `uname -m`, e.g. `x86_64`.
    pub architecture: Fact<String>,
    pub vendor: Fact<String>,
    pub model: Fact<String>,
    pub physical_cores: Fact<u32>,
    pub logical_cores: Fact<u32>,
    /// Logical cores that this process may run on.
    pub affinity: Fact<u32>,
    /// Cores' worth of time that control groups allow; absent without a limit.
    pub quota: Fact<f64>,
    /// Cores to count on: affinity and quota together, at least 1.
    pub usable_cores: Fact<u32>,
    /// Instruction sets that matter to numerics and speed, as the kernel names them.
    pub instruction_sets: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes.
    pub total: Fact<u64>,
    /// Bytes that control groups allow; absent without a limit.
    pub limit: Fact<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    pub name: Fact<String>,
    pub kernel: Fact<String>,
    pub glibc: Fact<String>,
    /// Whether this is Linux under Windows, where the driver is the Windows one.
    pub wsl: Fact<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    pub version: Fact<DriverVersion>,
    /// The newest CUDA version that the driver supports.
    pub cuda: Fact<CudaVersion>,
    /// What CUDA says when it can't start, although the driver shows GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// As `nvidia-smi` counts.
    pub index: u32,
    pub name: Fact<String>,
    pub uuid: Fact<String>,
    pub capability: Fact<Capability>,
    /// Bytes.
    pub memory: Fact<u64>,
    /// Bytes that nothing uses at the moment.
    #[serde(default = "unasked")]
    pub free: Fact<u64>,
    /// PCI address, e.g. `0000:01:00.0`.
    pub pci: Fact<String>,
}

/// Of facts that an older ybox wrote.
fn unasked<T>() -> Fact<T> {
    Fact::unknown("not asked")
}

/// Two GPUs that can't reach each other's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    pub gpus: [u32; 2],
    /// In the driver's words.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// PCI address, e.g. `0000:01:00.0`.
    pub pci: String,
    /// Vendor and device, e.g. `10de:1eb8`.
    pub id: String,
    /// How its memory accesses go through the IOMMU, in the kernel's words: `DMA` and `DMA-FQ` are
    /// translated, `identity` is not. None without an IOMMU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iommu: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engines {
    pub docker: Fact<Engine>,
    pub podman: Fact<Engine>,
    pub bubblewrap: Fact<Bubblewrap>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    pub version: String,
    pub api: Fact<String>,
    /// Where it answered: a URL.
    pub endpoint: String,
    pub storage_driver: Fact<String>,
    pub rootless: Fact<bool>,
    /// Whether a runtime named `nvidia` is configured.
    pub nvidia_runtime: Fact<bool>,
    /// CDI devices that the engine itself lists.
    pub cdi_devices: Vec<String>,
    /// Who makes its containers' control groups: `systemd` or `cgroupfs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_driver: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bubblewrap {
    pub path: String,
    pub version: Fact<String>,
    /// Whether it can make a container here: user namespaces may be switched off or filtered.
    pub works: Fact<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerToolkit {
    pub version: Fact<String>,
    /// NVIDIA devices in the CDI specifications of this host.
    pub cdi_devices: Vec<String>,
    /// CDI specifications that can't be read, whoever's devices they are of, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable_specifications: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_fact_reads_back_as_what_it_was() {
        let driver = Driver {
            version: Fact::Is("535.129.03".parse().unwrap()),
            cuda: Fact::unknown("not asked"),
            trouble: None,
        };
        for fact in [Fact::Is(driver), Fact::absent("no module"), Fact::unknown("timed out")] {
            let text = json(&fact);
            assert_eq!(serde_json::from_str::<Fact<Driver>>(&text).unwrap(), fact, "{text}");
        }
        assert_eq!(json(&Fact::Is(Capability::new(7, 5))), "\"7.5\"");
        assert_eq!(json(&Fact::<u32>::absent("none")), "{\"absent\":\"none\"}");
    }

    #[test]
    fn the_known_one_of_two_wins() {
        let unknown = || Fact::<u32>::unknown("why");
        assert_eq!(Fact::Is(1).or(Fact::Is(2)), Fact::Is(1));
        assert_eq!(unknown().or(Fact::Is(2)), Fact::Is(2));
        assert_eq!(unknown().or(Fact::absent("none")), unknown());
    }
}
