//! Why an engine can't hand GPUs to a container: each reason with its code, a sentence, and what to
//! do. Found when a run is about to start: the engine, or the memory for several GPUs, is known then.

use super::code::Code;
use super::offers::PODMAN;

/// `devices` are as the engine was asked for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOver {
    /// `reason`: the engine's own words.
    ToolkitMissing {
        engine: String,
        reason: String,
    },
    /// Its API passes over what it is asked for.
    PodmanTooOld {
        have: String,
    },
    /// `unreadable`: files there that can't be read, with why.
    NoCdiSpec {
        folders: String,
        unreadable: Vec<String>,
    },
    DeviceNotInSpec {
        device: String,
        have: Vec<String>,
    },
    /// The specification names a file that is not there.
    CdiSpecStale {
        device: String,
        path: String,
    },
    /// Bytes of `/dev/shm` that the GPUs need, and of memory that there are.
    ShmTooSmall {
        gpus: usize,
        need: u64,
        have: u64,
    },
}

impl HandOver {
    pub fn code(&self) -> Code {
        match self {
            Self::ToolkitMissing { .. } => Code::ContainerToolkitMissing,
            Self::PodmanTooOld { .. } => Code::PodmanTooOld,
            Self::NoCdiSpec { .. } => Code::NoCdiSpec,
            Self::DeviceNotInSpec { .. } => Code::DeviceNotInSpec,
            Self::CdiSpecStale { .. } => Code::CdiSpecStale,
            Self::ShmTooSmall { .. } => Code::ShmTooSmall,
        }
    }

    pub fn sentence(&self) -> String {
        match self {
            Self::ToolkitMissing { engine, reason } => {
                format!("{engine} has no NVIDIA runtime to hand a GPU over with: {reason}")
            }
            Self::PodmanTooOld { have } => {
                let (major, minor) = PODMAN;
                format!(
                    "podman {have} passes over the GPUs that its API is asked for; {major}.{minor} \
                     is the first that does not"
                )
            }
            Self::NoCdiSpec { folders, unreadable } => {
                let none = format!("no CDI specification of NVIDIA devices lies in {folders}");
                let unread = unreadable.iter().map(|file| format!("; this can't be read: {file}"));
                std::iter::once(none).chain(unread).collect()
            }
            Self::DeviceNotInSpec { device, have } => {
                let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
                format!("no CDI specification has {device}; there are {have}")
            }
            Self::CdiSpecStale { device, path } => {
                format!("the CDI specification of {device} names {path}, which is not there")
            }
            Self::ShmTooSmall { gpus, need, have } => format!(
                "{gpus} GPUs talk through {} MiB of /dev/shm, and there are {} MiB of memory",
                need >> 20,
                have >> 20
            ),
        }
    }

    pub fn remedy(&self) -> String {
        const GENERATE: &str = "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`";
        match self {
            Self::ToolkitMissing { .. } => "install the NVIDIA Container Toolkit, run `nvidia-ctk \
                                            runtime configure --runtime=docker`, and restart Docker"
                .into(),
            Self::PodmanTooOld { .. } => {
                "install a newer Podman, or use --engine docker or --engine embedded".into()
            }
            Self::NoCdiSpec { unreadable, .. } if !unreadable.is_empty() => {
                format!("let the file be read, or write it anew with {GENERATE}")
            }
            Self::NoCdiSpec { .. } => {
                format!("install the NVIDIA Container Toolkit and write one with {GENERATE}")
            }
            Self::DeviceNotInSpec { .. } => {
                format!(
                    "name a device that is there, or write the specification anew with {GENERATE}"
                )
            }
            Self::CdiSpecStale { .. } => {
                format!("it is of another driver: write it anew with {GENERATE}")
            }
            Self::ShmTooSmall { .. } => {
                "use fewer GPUs, or give this machine or its control group more memory".into()
            }
        }
    }
}
