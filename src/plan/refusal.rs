//! Why a plan can't be made: each reason with its code, a sentence, and what would satisfy it.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use ybox_spec::config::AttentionPath;

use super::code::Code;
use super::handover::HandOver;
use super::{Dtype, Variant};
use crate::probe::version::{Capability, CudaVersion, DriverVersion};

/// A GPU as refusals name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuLabel {
    pub index: u32,
    pub name: String,
    pub capability: Option<Capability>,
}

impl std::fmt::Display for GpuLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GPU {} ({}", self.index, self.name)?;
        match self.capability {
            Some(capability) => write!(f, ", compute capability {capability})"),
            None => f.write_str(")"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A GPU was asked for, and there is none.
    NoGpu,
    /// There is NVIDIA hardware at these PCI addresses (none: the facts list GPUs), but no driver.
    NoDriver {
        devices: Vec<String>,
        reason: String,
    },
    /// The driver runs, but shows none of the hardware at these PCI addresses.
    GpuNotShown {
        devices: Vec<String>,
        driver: String,
    },
    /// `wanted`: an index or the beginning of a UUID, which `have` must match once.
    NoSuchDevice {
        wanted: String,
        have: Vec<String>,
    },
    /// The driver shows GPUs, but CUDA can't use them.
    CudaDoesNotStart {
        reason: String,
    },
    /// The control group no longer lets these device nodes be opened.
    GpuLostInContainer {
        nodes: Vec<String>,
    },
    /// Bytes that nothing uses.
    GpuMemoryShort {
        gpu: GpuLabel,
        free: u64,
    },
    HandOver(HandOver),
    DriverTooOld {
        variant: Variant,
        have: DriverVersion,
        need: DriverVersion,
        cuda: CudaVersion,
    },
    /// The driver has dropped this GPU.
    DriverTooNew {
        gpu: GpuLabel,
        have: DriverVersion,
        last_branch: u32,
    },
    DriverUnknown {
        reason: String,
    },
    CapabilityUnknown {
        gpu: GpuLabel,
        reason: String,
    },
    ArchNotInImage {
        gpu: GpuLabel,
        variant: Option<Variant>,
        have: Vec<Capability>,
    },
    ArchRemovedInCuda13 {
        gpu: GpuLabel,
        variant: Variant,
    },
    PtxNeedsNewerDriver {
        gpu: GpuLabel,
        variant: Variant,
        need: Option<DriverVersion>,
    },
    /// No one variant serves them all; beside each the variants that serve it alone.
    MixedGpusNoCommonStack {
        gpus: Vec<(GpuLabel, Vec<Variant>)>,
    },
    ProcessorNotInImage {
        have: String,
        images: Vec<String>,
    },
    /// A CPU variant with a GPU, or the other way round.
    VariantNotForDevice {
        variant: Variant,
        device: String,
    },
    FlashNeedsSm80 {
        gpu: GpuLabel,
    },
    FlashNeedsHalf {
        dtype: Dtype,
    },
    EfficientNeedsSm75 {
        gpu: GpuLabel,
    },
    EfficientNotOnCpu,
    DtypeNotOnArch {
        dtype: Dtype,
        gpu: GpuLabel,
        instead: Dtype,
    },
    PortableNeedsCpu,
    PortableNeedsFp32 {
        dtype: Dtype,
    },
    PortableNeedsAvx2 {
        reason: String,
    },
    /// The path is in no table's range for this GPU.
    AttentionUnverified {
        path: AttentionPath,
        gpu: GpuLabel,
    },
}

impl Refusal {
    pub fn code(&self) -> Code {
        match self {
            Self::NoGpu => Code::NoGpu,
            Self::NoDriver { .. } => Code::NoDriver,
            Self::GpuNotShown { .. } => Code::GpuNotShown,
            Self::NoSuchDevice { .. } => Code::NoSuchDevice,
            Self::CudaDoesNotStart { .. } => Code::CudaDoesNotStart,
            Self::GpuLostInContainer { .. } => Code::GpuLostInContainer,
            Self::GpuMemoryShort { .. } => Code::GpuMemoryShort,
            Self::HandOver(reason) => reason.code(),
            Self::DriverTooOld { .. } => Code::DriverTooOld,
            Self::DriverTooNew { .. } => Code::DriverTooNew,
            Self::DriverUnknown { .. } => Code::DriverUnknown,
            Self::CapabilityUnknown { .. } => Code::CapabilityUnknown,
            Self::ArchNotInImage { .. } => Code::ArchNotInImage,
            Self::ArchRemovedInCuda13 { .. } => Code::ArchRemovedInCuda13,
            Self::PtxNeedsNewerDriver { .. } => Code::PtxNeedsNewerDriver,
            Self::MixedGpusNoCommonStack { .. } => Code::MixedGpusNoCommonStack,
            Self::ProcessorNotInImage { .. } => Code::ProcessorNotInImage,
            Self::VariantNotForDevice { .. } => Code::VariantNotForDevice,
            Self::FlashNeedsSm80 { .. } => Code::FlashNeedsSm80,
            Self::FlashNeedsHalf { .. } => Code::FlashNeedsHalf,
            Self::EfficientNeedsSm75 { .. } => Code::EfficientNeedsSm75,
            Self::EfficientNotOnCpu => Code::EfficientNotOnCpu,
            Self::DtypeNotOnArch { .. } => Code::DtypeNotOnArch,
            Self::PortableNeedsCpu => Code::PortableNeedsCpu,
            Self::PortableNeedsFp32 { .. } => Code::PortableNeedsFp32,
            Self::PortableNeedsAvx2 { .. } => Code::PortableNeedsAvx2,
            Self::AttentionUnverified { .. } => Code::NotInTable,
        }
    }

    /// What is in the way.
    pub fn sentence(&self) -> String {
        match self {
            Self::NoGpu => "a GPU was asked for, and this machine shows none".into(),
            Self::NoDriver { devices, reason } if devices.is_empty() => {
                format!("there is no NVIDIA driver: {reason}")
            }
            Self::NoDriver { devices, reason } => format!(
                "there is NVIDIA hardware at {}, but no driver for it: {reason}",
                devices.join(", ")
            ),
            Self::GpuNotShown { devices, driver } => format!(
                "there is NVIDIA hardware at {}, but the driver ({driver}) shows no GPU",
                devices.join(", ")
            ),
            Self::NoSuchDevice { wanted, have } if wanted.starts_with("GPU-") => {
                format!(
                    "{wanted} is not the beginning of one GPU's UUID; there are {}",
                    listed(have)
                )
            }
            Self::NoSuchDevice { wanted, have } => {
                format!("there is no GPU {wanted}; there are {}", listed(have))
            }
            Self::CudaDoesNotStart { reason } => {
                format!("the driver shows GPUs, but CUDA does not start: {reason}")
            }
            Self::GpuLostInContainer { nodes } => format!(
                "{} may no longer be opened: the GPU was taken from this container, as happens when \
                 systemd reloads",
                nodes.join(", ")
            ),
            Self::GpuMemoryShort { gpu, free } => {
                let (free, least) = (free >> 20, LEAST_MEMORY >> 20);
                format!(
                    "{gpu} has {free} MiB of free memory, and {least} MiB is the least to start with"
                )
            }
            Self::HandOver(reason) => reason.sentence(),
            Self::DriverTooOld { variant, have, need, cuda } => format!(
                "{variant} is made with CUDA {cuda}, which needs driver {need} or newer; this is {have}"
            ),
            Self::DriverTooNew { gpu, have, last_branch } => format!(
                "driver {have} no longer drives {gpu}: the last branch that does is {last_branch}"
            ),
            Self::DriverUnknown { reason } => {
                format!("what the NVIDIA driver can do is not known: {reason}")
            }
            Self::CapabilityUnknown { gpu, reason } => format!(
                "the compute capability of {gpu} is not known: {reason}, and the name is in no table"
            ),
            Self::ArchNotInImage { gpu, variant: Some(variant), have } => {
                let have: Vec<_> = have.iter().map(|c| c.sm()).collect();
                format!("{variant} has no machine code for {gpu}; it has {}", have.join(", "))
            }
            Self::ArchNotInImage { gpu, variant: None, .. } => {
                format!("no variant has machine code for {gpu}")
            }
            Self::ArchRemovedInCuda13 { gpu, variant } => {
                format!("{variant} is made with CUDA 13, which has dropped {gpu}")
            }
            Self::PtxNeedsNewerDriver { gpu, variant, need } => {
                let need = need.as_ref().map_or("the toolkit's own".into(), ToString::to_string);
                format!(
                    "{variant} has only code for {gpu} that the driver must compile itself, which \
                     needs driver {need} or newer"
                )
            }
            Self::MixedGpusNoCommonStack { gpus } => {
                let each = |(gpu, variants): &(GpuLabel, Vec<Variant>)| {
                    format!("{gpu} needs {}", any_of(variants))
                };
                let gpus: Vec<_> = gpus.iter().map(each).collect();
                format!("no one variant serves all GPUs: {}", gpus.join("; "))
            }
            Self::ProcessorNotInImage { have, images } => {
                format!("the images are made for {}; this is {have}", images.join(", "))
            }
            Self::VariantNotForDevice { variant, device } => {
                format!("variant {variant} can't run on device {device}")
            }
            Self::FlashNeedsSm80 { gpu } => {
                format!("the flash kernels need compute capability 8.0 or more; {gpu} has less")
            }
            Self::FlashNeedsHalf { dtype } => {
                format!("the flash kernels compute in fp16 or bf16, not in {dtype}")
            }
            Self::EfficientNeedsSm75 { gpu } => format!(
                "ybox uses the memory-efficient kernels from compute capability 7.5 on; {gpu} has less"
            ),
            Self::EfficientNotOnCpu => "the memory-efficient kernels exist for GPUs only".into(),
            Self::DtypeNotOnArch { dtype, gpu, .. } => {
                format!("{gpu} does not compute in {dtype}")
            }
            Self::PortableNeedsCpu => {
                "portable numerics promise the same bits on any x86-64 CPU; a GPU can't keep that"
                    .into()
            }
            Self::PortableNeedsFp32 { dtype } => format!(
                "portable numerics promise the same bits on any x86-64 CPU; {dtype} is computed by \
                 what the CPU at hand has"
            ),
            Self::PortableNeedsAvx2 { reason } => {
                format!("portable numerics are pinned to the AVX2 and FMA instructions; {reason}")
            }
            Self::AttentionUnverified { path, gpu } => format!(
                "whether the {} kernels work on {gpu} is unverified: no table speaks of it",
                path.name()
            ),
        }
    }

    /// What would satisfy it.
    pub fn remedy(&self) -> String {
        const MEANWHILE: &str = "meanwhile, device=cpu works";
        match self {
            Self::NoGpu => "use device=cpu, or leave device to ybox".into(),
            Self::NoDriver { .. } => format!("install the NVIDIA driver; {MEANWHILE}"),
            Self::GpuNotShown { .. } => format!(
                "look into the kernel's log for NVRM: the driver may be too new or too old for the \
                 hardware; {MEANWHILE}"
            ),
            Self::NoSuchDevice { .. } => "name one that is there: device=0 for the first".into(),
            Self::CudaDoesNotStart { reason } => format!("{}; {MEANWHILE}", restart(reason)),
            Self::GpuLostInContainer { .. } => {
                "start this container again; it does not happen with \
                                                CDI devices, or with Docker's cgroupfs driver"
                    .into()
            }
            Self::GpuMemoryShort { .. } => format!(
                "see with `nvidia-smi` what uses it, end that, or choose another GPU with device=; \
                 {MEANWHILE}"
            ),
            Self::HandOver(reason) => reason.remedy(),
            Self::DriverTooOld { need, .. } => {
                format!("install driver {need} or newer; {MEANWHILE}")
            }
            Self::DriverTooNew { last_branch, .. } => {
                format!("install a driver of branch {last_branch}; {MEANWHILE}")
            }
            Self::DriverUnknown { .. } => {
                format!("see whether `nvidia-smi` answers, and mend the driver; {MEANWHILE}")
            }
            Self::CapabilityUnknown { .. } => {
                format!(
                    "use a driver that tells it, or leave that GPU out with device=; {MEANWHILE}"
                )
            }
            Self::ArchNotInImage { variant: None, .. } => {
                format!("leave that GPU out with device=; {MEANWHILE}")
            }
            Self::ArchNotInImage { .. } | Self::ArchRemovedInCuda13 { .. } => {
                format!("leave variant to ybox, or that GPU out with device=; {MEANWHILE}")
            }
            Self::PtxNeedsNewerDriver { .. } => format!("install a newer driver; {MEANWHILE}"),
            Self::MixedGpusNoCommonStack { gpus } => {
                let first = gpus.first().map_or(0, |(gpu, _)| gpu.index);
                format!("choose GPUs that have a variant in common, e.g. device={first}")
            }
            Self::ProcessorNotInImage { images, .. } => {
                format!("use a machine with a processor of kind {}", images.join(", "))
            }
            Self::VariantNotForDevice { .. } => {
                "give one of the two, and leave the other out; a run's variant is its image's"
                    .into()
            }
            Self::FlashNeedsSm80 { gpu } if gpu.capability >= Some(Capability::new(7, 5)) => {
                "attention=efficient gives the same O(N) memory on it, with tiled kernels".into()
            }
            Self::FlashNeedsSm80 { .. } | Self::EfficientNeedsSm75 { .. } => {
                "attention=safe works on it".into()
            }
            Self::FlashNeedsHalf { .. } => {
                "use dtype=bf16 or dtype=fp16, or attention=efficient".into()
            }
            Self::EfficientNotOnCpu => {
                "attention=flash gives the same O(N) memory on a CPU, with a tiled kernel".into()
            }
            Self::DtypeNotOnArch { instead, .. } => format!("use dtype={instead}"),
            Self::PortableNeedsCpu => "use numerics=fast, or device=cpu".into(),
            Self::PortableNeedsFp32 { .. } => "use numerics=fast, or dtype=fp32".into(),
            Self::PortableNeedsAvx2 { .. } => "use numerics=fast".into(),
            Self::AttentionUnverified { .. } => "use attention=safe".into(),
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut refusal = serializer.serialize_struct("Refusal", 3)?;
        refusal.serialize_field("code", &self.code())?;
        refusal.serialize_field("reason", &self.sentence())?;
        refusal.serialize_field("remedy", &self.remedy())?;
        refusal.end()
    }
}

/// Bytes of free memory that CUDA's own context and a first batch need at the very least.
pub const LEAST_MEMORY: u64 = 2 << 30;

/// What makes CUDA start again, by the name of its error.
fn restart(reason: &str) -> &'static str {
    const MENDS: [(&str, &str); 6] = [
        (
            "libcuda.so.1 is not installed",
            "install the driver's CUDA library, libcuda.so.1; in a container \
             NVIDIA_DRIVER_CAPABILITIES needs `compute`",
        ),
        (
            "SYSTEM_DRIVER_MISMATCH",
            "the driver's libraries and its kernel module are of different versions: reboot",
        ),
        (
            "COMPAT_NOT_SUPPORTED",
            "this GPU can't use the forward compatibility libraries: take cuda-compat out of \
             LD_LIBRARY_PATH",
        ),
        (
            "SYSTEM_NOT_READY",
            "start NVIDIA's fabric manager: `systemctl start nvidia-fabricmanager`",
        ),
        ("STUB_LIBRARY", "take CUDA's folder of stubs out of LD_LIBRARY_PATH"),
        ("NO_DEVICE", "see whether this user may open /dev/nvidia* and the GPUs are not excluded"),
    ];
    let mend = MENDS.iter().find(|(name, _)| reason.contains(name));
    mend.map_or("load the module again with `modprobe nvidia_uvm`, or reboot", |(_, mend)| mend)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn any_of(variants: &[Variant]) -> String {
    let names: Vec<_> = variants.iter().map(|variant| variant.name()).collect();
    names.join(" or ")
}
