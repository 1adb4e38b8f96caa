//! Compatibility tables: data files with a version, a date, and a source and status on each block.
//! Reading a row of them is here; what follows from it is decided elsewhere.

mod attention;
mod drivers;
mod gpus;
mod memory;
mod wheels;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use attention::{AttentionTable, PathRow};
pub use drivers::DriverTable;
pub use gpus::{GpuTable, KnownGpu};
#[cfg(test)]
pub use memory::CardRow;
pub use memory::MemoryTable;
pub use wheels::{Coverage, StackRow, WheelTable};

/// Whether someone checked a block against its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Verified,
    Unverified,
}

/// Rows that share a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block<R> {
    pub source: String,
    pub status: Status,
    pub rows: Vec<R>,
}

/// Which edition of a table answered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Edition {
    pub table: &'static str,
    pub version: u32,
    pub date: String,
}

/// All tables.
#[derive(Debug, Clone)]
pub struct Tables {
    pub gpus: GpuTable,
    pub drivers: DriverTable,
    pub wheels: WheelTable,
    pub attention: AttentionTable,
    pub memory: MemoryTable,
}

impl Tables {
    /// The tables that this version of ybox carries.
    pub fn built_in() -> Self {
        Self {
            gpus: read(include_str!("gpus.yaml")),
            drivers: read(include_str!("drivers.yaml")),
            wheels: read(include_str!("wheels.yaml")),
            attention: read(include_str!("attention.yaml")),
            memory: read(include_str!("memory.yaml")),
        }
    }

    pub fn editions(&self) -> [Edition; 5] {
        let Self { gpus, drivers, wheels, attention, memory } = self;
        [
            Edition { table: "gpus", version: gpus.version, date: gpus.date.clone() },
            Edition { table: "drivers", version: drivers.version, date: drivers.date.clone() },
            Edition { table: "wheels", version: wheels.version, date: wheels.date.clone() },
            Edition {
                table: "attention",
                version: attention.version,
                date: attention.date.clone(),
            },
            Edition { table: "memory", version: memory.version, date: memory.date.clone() },
        ]
    }
}

fn read<T: DeserializeOwned>(yaml: &str) -> T {
    serde_yaml::from_str(yaml).expect("the built-in tables are read by a test of this module")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lock::{Recipe, Supports, Variants};
    use crate::plan::Variant;

    /// What a recipe has to say that it supports: the machine code of its libtorch, and the oldest
    /// driver that loads its CUDA.
    fn supported(tables: &Tables, variant: Variant) -> Supports {
        let Some(stack) = tables.wheels.stack(variant) else { return Supports::default() };
        let floors = &tables.drivers.floors.rows;
        let floor = floors.iter().find(|row| row.cuda == stack.cuda.major).unwrap();
        Supports {
            capabilities: stack.cubins.iter().map(ToString::to_string).collect(),
            driver: Some(floor.driver.linux.to_string()),
        }
    }

    #[test]
    fn recipes_support_what_the_tables_say() {
        let (tables, project) = (Tables::built_in(), Path::new(env!("CARGO_MANIFEST_DIR")));
        let variants = Variants::of(Some(project)).unwrap();
        let mut names = variants.names();
        for (name, variant) in [
            ("cpu", Variant::Cpu),
            ("cuda126", Variant::Cuda126),
            ("cuda13", Variant::Cuda13),
            ("cuda13-slim", Variant::Cuda13),
        ] {
            let recipe: Recipe = variants.recipe(name).unwrap();
            assert_eq!(recipe.supports, supported(&tables, variant), "{name}");
            names.retain(|other| other != name);
        }
        assert!(names.is_empty(), "recipes that no table is compared with: {names:?}");
    }

    #[test]
    fn the_built_in_tables_are_dated_and_sourced() {
        let tables = Tables::built_in();
        for edition in tables.editions() {
            assert!(edition.version >= 1);
            assert_eq!(edition.date.len(), "2026-11-24".len(), "{edition:?}");
        }
        let sources = tables.gpus.gpus.iter().map(|block| &block.source);
        let others = [&tables.drivers.floors.source, &tables.memory.cards.source];
        assert!(sources.chain(others).all(|source| !source.is_empty()));
    }
}
