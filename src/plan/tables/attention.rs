//! The table of attention kernels and number formats.

use serde::Deserialize;
use ybox_spec::config::AttentionPath;

use super::Block;
use crate::plan::Dtype;
use crate::probe::version::Capability;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionTable {
    #[serde(rename = "schema")]
    _schema: String,
    pub version: u32,
    pub date: String,
    pub head_dim: u32,
    pub paths: Block<PathRow>,
    pub dtypes: Block<DtypeRow>,
    pub defaults: Block<DtypeRow>,
    pub cpu: Block<CpuPathRow>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRow {
    pub path: AttentionPath,
    pub kernel: String,
    pub floor: Capability,
    pub from: Capability,
    /// The highest capability that the source speaks of; none where the path doesn't depend on it.
    pub to: Option<Capability>,
    pub dtypes: Vec<Dtype>,
    /// When the backward pass gives the same bits twice.
    pub deterministic: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuPathRow {
    pub path: AttentionPath,
    pub kernel: String,
    pub dtypes: Vec<Dtype>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DtypeRow {
    pub dtype: Dtype,
    pub from: Capability,
}

impl AttentionTable {
    /// The lowest capability that computes in `dtype`.
    pub fn floor(&self, dtype: Dtype) -> Option<Capability> {
        self.dtypes.rows.iter().find(|row| row.dtype == dtype).map(|row| row.from)
    }

    /// What a GPU of `capability` computes in where nothing was asked for.
    pub fn default_dtype(&self, capability: Capability) -> Dtype {
        let rows = self.defaults.rows.iter().filter(|row| row.from <= capability);
        rows.max_by_key(|row| row.from).map_or(Dtype::Fp32, |row| row.dtype)
    }
}
