//! The table of libtorch builds: which GPUs find machine code in them.

use serde::Deserialize;

use super::{Block, Status};
use crate::plan::Variant;
use crate::probe::version::{Capability, CudaVersion};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelTable {
    #[serde(rename = "schema")]
    _schema: String,
    pub version: u32,
    pub date: String,
    pub stacks: Vec<Block<StackRow>>,
    pub system_on_chip: Block<Capability>,
    pub oldest: Block<OldestRow>,
    pub processors: Block<String>,
}

/// What a variant's image holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackRow {
    pub variant: Variant,
    pub build: String,
    pub cuda: CudaVersion,
    pub cubins: Vec<Capability>,
    pub ptx: Vec<Capability>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldestRow {
    pub cuda: u32,
    pub from: Capability,
}

/// How a build can run on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// With machine code made for this capability.
    Cubin(Capability),
    /// With code that the driver compiles.
    Ptx(Capability),
}

impl WheelTable {
    /// The variants for GPUs, the preferred ones first.
    pub fn stacks(&self) -> impl Iterator<Item = (&StackRow, Status)> {
        self.stacks.iter().flat_map(|block| block.rows.iter().map(|row| (row, block.status)))
    }

    pub fn stack(&self, variant: Variant) -> Option<&StackRow> {
        self.stacks().map(|(row, _)| row).find(|row| row.variant == variant)
    }

    pub fn coverage(&self, stack: &StackRow, capability: Capability) -> Option<Coverage> {
        let alone = self.system_on_chip.rows.contains(&capability);
        let runs = |cubin: &Capability| {
            *cubin == capability
                || !alone && cubin.major == capability.major && cubin.minor <= capability.minor
        };
        let cubin = stack.cubins.iter().filter(|cubin| runs(cubin)).max();
        let ptx = stack.ptx.iter().filter(|ptx| **ptx <= capability).max();
        cubin.map(|c| Coverage::Cubin(*c)).or_else(|| ptx.map(|p| Coverage::Ptx(*p)))
    }

    /// Whether that CUDA version has dropped GPUs of `capability` altogether.
    pub fn dropped(&self, cuda: CudaVersion, capability: Capability) -> bool {
        self.oldest.rows.iter().any(|row| row.cuda == cuda.major && capability < row.from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tables;
    use super::*;

    fn coverage(variant: Variant, capability: &str) -> Option<String> {
        let table = Tables::built_in().wheels;
        let stack = table.stack(variant).unwrap();
        match table.coverage(stack, capability.parse().unwrap())? {
            Coverage::Cubin(cubin) => Some(cubin.sm()),
            Coverage::Ptx(ptx) => Some(format!("ptx {ptx}")),
        }
    }

    #[test]
    fn machine_code_serves_later_minor_versions_only() {
        assert_eq!(coverage(Variant::Cuda13, "8.9").as_deref(), Some("sm_86"));
        assert_eq!(coverage(Variant::Cuda13, "12.1").as_deref(), Some("sm_120"));
        assert_eq!(coverage(Variant::Cuda13, "10.3").as_deref(), Some("sm_100"));
        assert_eq!(coverage(Variant::Cuda13, "7.0"), None);
        assert_eq!(coverage(Variant::Cuda126, "6.1").as_deref(), Some("sm_60"));
        assert_eq!(coverage(Variant::Cuda126, "10.0"), None);
        assert_eq!(coverage(Variant::Cuda126, "3.7"), None);
    }

    #[test]
    fn a_system_on_chip_needs_its_own() {
        for capability in ["5.3", "6.2", "7.2", "8.7", "11.0"] {
            assert_eq!(coverage(Variant::Cuda13, capability), None, "{capability}");
            assert_eq!(coverage(Variant::Cuda126, capability), None, "{capability}");
        }
    }

    #[test]
    fn code_for_the_driver_to_compile_comes_second() {
        let table = Tables::built_in().wheels;
        let mut stack = table.stack(Variant::Cuda13).unwrap().clone();
        stack.ptx = vec![Capability::new(12, 0)];
        let of = |text: &str| table.coverage(&stack, text.parse().unwrap());
        assert_eq!(of("12.1"), Some(Coverage::Cubin(Capability::new(12, 0))));
        assert_eq!(of("13.0"), Some(Coverage::Ptx(Capability::new(12, 0))));
        assert_eq!(of("7.0"), None);
    }
}
