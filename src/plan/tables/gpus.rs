//! The table of GPUs: from a name to a compute capability.

use serde::Deserialize;

use super::{Block, Status};
use crate::probe::version::Capability;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuTable {
    #[serde(rename = "schema")]
    _schema: String,
    pub version: u32,
    pub date: String,
    pub gpus: Vec<Block<Row>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub capability: Capability,
    pub class: Class,
    #[serde(default)]
    pub host: Option<String>,
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    DataCentre,
    Workstation,
    Geforce,
    Jetson,
}

/// A GPU of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownGpu<'a> {
    pub name: &'a str,
    pub capability: Capability,
    /// The processor that it comes with, where it comes with only one kind.
    pub host: Option<&'a str>,
    pub status: Status,
}

impl GpuTable {
    pub fn all(&self) -> impl Iterator<Item = KnownGpu<'_>> {
        self.gpus.iter().flat_map(|block| block.rows.iter().map(move |row| (block, row))).flat_map(
            |(block, row)| {
                row.names.iter().map(move |name| KnownGpu {
                    name,
                    capability: row.capability,
                    host: row.host.as_deref(),
                    status: block.status,
                })
            },
        )
    }

    /// The GPU whose name's words all occur, side by side, in `name`; of several, the one with the
    /// longest name: "NVIDIA GeForce RTX 2080 Ti" is an "RTX 2080 Ti", not an "RTX 2080".
    pub fn find(&self, name: &str) -> Option<KnownGpu<'_>> {
        let words = words(name);
        self.all()
            .filter(|gpu| contains(&words, &self::words(gpu.name)))
            .max_by_key(|gpu| self::words(gpu.name).len())
    }

    /// The name that is spelled most like `name`, if any is near.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let joined = words(name).concat();
        self.all()
            .map(|gpu| (strsim::jaro_winkler(&joined, &words(gpu.name).concat()), gpu.name))
            .filter(|(similarity, _)| *similarity > 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }

    pub fn knows(&self, capability: Capability) -> bool {
        self.all().any(|gpu| gpu.capability == capability)
    }
}

fn contains(words: &[String], wanted: &[String]) -> bool {
    words.windows(wanted.len()).any(|window| window == wanted)
        // People leave out the spaces: "RTX4090".
        || words.len() < wanted.len() && words.concat() == wanted.concat()
}

/// Lower-case words, without those that say only who made it and for which market.
fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !["", "nvidia", "tesla", "geforce"].contains(&word.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Tables;

    #[test]
    fn finds_the_driver_s_names() {
        let table = Tables::built_in().gpus;
        for (name, expected) in [
            ("Tesla T4", "T4"),
            ("NVIDIA A100-SXM4-40GB", "A100"),
            ("NVIDIA H100 80GB HBM3", "H100"),
            ("NVIDIA GeForce RTX 2080 Ti", "RTX 2080 Ti"),
            ("NVIDIA GeForce RTX 2080 SUPER", "RTX 2080"),
            ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Blackwell Server"),
            ("Quadro RTX 6000", "Quadro RTX 6000"),
            ("rtx4090", "RTX 4090"),
            ("GeForce GTX TITAN X", "GTX Titan X"),
        ] {
            assert_eq!(table.find(name).map(|gpu| gpu.name), Some(expected), "{name}");
        }
        for name in ["", "GeForce GTX 960M", "RTX 6000", "A1000", "NVIDIA", "Ti"] {
            assert_eq!(table.find(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_finds_itself() {
        let table = Tables::built_in().gpus;
        let names: BTreeSet<_> = table.all().map(|gpu| gpu.name).collect();
        assert_eq!(names.len(), table.all().count());
        for gpu in table.all() {
            assert_eq!(table.find(gpu.name), Some(gpu));
        }
    }

    #[test]
    fn names_the_nearest() {
        let table = Tables::built_in().gpus;
        assert_eq!(table.nearest("H10O"), Some("H100"));
        assert_eq!(table.nearest("RTX 4099"), Some("RTX 4090"));
        assert_eq!(table.nearest("qqq"), None);
    }
}
