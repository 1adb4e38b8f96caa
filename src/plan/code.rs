//! The stable codes of everything that a plan says. Scripts match on them: a code may be added, never
//! renamed or given another meaning.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    // Reasons to choose.
    AskedFor = "asked-for",
    NoGpu = "no-gpu",
    GpuUsable = "gpu-usable",
    FirstThatFits = "first-that-fits",
    CommonToAllGpus = "common-to-all-gpus",
    DefaultForDevice = "default-for-device",
    ProcessorInImage = "processor-in-image",
    EngineOffersGpus = "engine-offers-gpus",
    PeerAccess = "peer-access",
    KernelsDeterministic = "kernels-deterministic",
    // What a table or a probe could not tell.
    CapabilityFromName = "capability-from-name",
    NotInTable = "not-in-table",
    UnverifiedRow = "unverified-row",
    EngineUnknown = "engine-unknown",
    // Warnings, and reasons to refuse.
    ContainerToolkitMissing = "container-toolkit-missing",
    NoDriver = "no-driver",
    GpuNotShown = "gpu-not-shown",
    NoSuchDevice = "no-such-device",
    CudaDoesNotStart = "cuda-does-not-start",
    GpuLostInContainer = "gpu-lost-in-container",
    GpuMemoryShort = "gpu-memory-short",
    ShmTooSmall = "shm-too-small",
    NoCdiSpec = "no-cdi-spec",
    DeviceNotInSpec = "device-not-in-spec",
    CdiSpecStale = "cdi-spec-stale",
    PodmanTooOld = "podman-too-old",
    PeerAccessOff = "peer-access-off",
    DriverTooOld = "driver-too-old",
    DriverTooNew = "driver-too-new",
    DriverUnknown = "driver-unknown",
    CapabilityUnknown = "capability-unknown",
    ArchNotInImage = "arch-not-in-image",
    ArchRemovedInCuda13 = "arch-removed-in-cuda-13",
    PtxNeedsNewerDriver = "ptx-needs-newer-driver",
    MixedGpusNoCommonStack = "mixed-gpus-no-common-stack",
    ProcessorNotInImage = "processor-not-in-image",
    VariantNotForDevice = "variant-not-for-device",
    FlashNeedsSm80 = "flash-needs-sm80",
    FlashNeedsHalf = "flash-needs-half",
    EfficientNeedsSm75 = "efficient-needs-sm75",
    EfficientNotOnCpu = "efficient-not-on-cpu",
    DtypeNotOnArch = "dtype-not-on-arch",
    PortableNeedsCpu = "portable-needs-cpu",
    PortableNeedsFp32 = "portable-needs-fp32",
    PortableNeedsAvx2 = "portable-needs-avx2",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(kebab) && !name.contains("--"), "{name}");
            assert!(name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-'));
        }
    }
}
