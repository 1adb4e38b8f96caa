//! The table of memory that GPUs show.

use serde::Deserialize;

use super::Block;

const GIB: f64 = (1u64 << 30) as f64;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryTable {
    #[serde(rename = "schema")]
    _schema: String,
    pub version: u32,
    pub date: String,
    pub cards: Block<CardRow>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardRow {
    pub name: String,
    pub gib: f64,
}

impl MemoryTable {
    /// Bytes of the GPU that the table of GPUs calls `name`.
    pub fn total(&self, name: &str) -> Option<u64> {
        let card = self.cards.rows.iter().find(|card| card.name == name)?;
        Some((card.gib * GIB) as u64)
    }
}
