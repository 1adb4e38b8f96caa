//! The table of drivers: which toolkits a driver version runs, and which GPUs it drives.

use serde::Deserialize;

use super::Block;
use crate::probe::version::{Capability, CudaVersion, DriverVersion};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverTable {
    #[serde(rename = "schema")]
    _schema: String,
    pub version: u32,
    pub date: String,
    pub floors: Block<FloorRow>,
    pub toolkits: Block<ToolkitRow>,
    pub branches: Block<BranchRow>,
    pub last_branches: Block<LastBranchRow>,
    pub assumed: DriverVersion,
}

#[derive(Debug, Clone, Deserialize)]
pub struct FloorRow {
    pub cuda: u32,
    #[serde(flatten)]
    pub driver: Floor,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ToolkitRow {
    pub cuda: CudaVersion,
    #[serde(flatten)]
    pub driver: Floor,
}

/// A driver version on each system; NVIDIA names none for Windows from CUDA 13 on.
#[derive(Debug, Clone, Deserialize)]
pub struct Floor {
    pub linux: DriverVersion,
    pub windows: Option<DriverVersion>,
}

impl Floor {
    pub fn on(&self, windows: bool) -> Option<&DriverVersion> {
        if windows { self.windows.as_ref() } else { Some(&self.linux) }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchRow {
    pub branch: u32,
    pub cuda: CudaVersion,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastBranchRow {
    pub from: Capability,
    pub to: Capability,
    pub branch: u32,
}

impl DriverTable {
    /// The oldest driver that loads machine code of any toolkit of that major version.
    pub fn floor(&self, cuda: CudaVersion) -> Option<&Floor> {
        self.floors.rows.iter().find(|row| row.cuda == cuda.major).map(|row| &row.driver)
    }

    /// The driver that came with a toolkit.
    pub fn of_toolkit(&self, cuda: CudaVersion) -> Option<&Floor> {
        self.toolkits.rows.iter().find(|row| row.cuda == cuda).map(|row| &row.driver)
    }

    /// The newest CUDA version of a driver's branch, if the branch is in the table.
    pub fn cuda_of(&self, driver: &DriverVersion) -> Option<CudaVersion> {
        let rows = &self.branches.rows;
        rows.iter().find(|row| row.branch == driver.branch()).map(|row| row.cuda)
    }

    /// A full version of a branch, for use as an example.
    pub fn example_of(&self, branch: u32) -> Option<&DriverVersion> {
        let versions = self.toolkits.rows.iter().map(|row| &row.driver.linux);
        versions.chain([&self.assumed]).find(|version| version.branch() == branch)
    }

    /// The last branch that drives GPUs of `capability`, if there is a last one.
    pub fn last_branch(&self, capability: Capability) -> Option<u32> {
        let rows = &self.last_branches.rows;
        rows.iter().find(|r| (r.from..=r.to).contains(&capability)).map(|row| row.branch)
    }
}
