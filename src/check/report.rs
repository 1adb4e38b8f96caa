//! What a check found, for people and for programs.

use std::path::PathBuf;

use serde::Serialize;
use ybox_spec::dataset::Format;

use crate::contents::Finding;
use crate::ui::table;

#[derive(Debug, Serialize)]
pub struct Report {
    pub data: PathBuf,
    pub format: Format,
    pub names: Vec<String>,
    pub splits: Vec<SplitReport>,
    pub problems: Vec<Finding>,
    /// What is no problem, but good to know.
    pub notes: Vec<Finding>,
    /// Sheets of samples that were drawn.
    pub pictures: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
pub struct SplitReport {
    pub split: &'static str,
    /// As listed, usable or not.
    pub pictures: usize,
    pub objects: u64,
    /// Usable pictures without objects.
    pub backgrounds: usize,
    pub problems: usize,
    /// In the order of the classes.
    pub objects_by_class: Vec<u64>,
}

impl Report {
    /// Two tables: splits, and objects by class.
    pub fn tables(&self) -> String {
        let header = ["split", "pictures", "objects", "backgrounds", "problems"];
        let rows: Vec<_> = self
            .splits
            .iter()
            .map(|s| {
                let counts = [s.pictures.to_string(), s.objects.to_string()];
                let more = [s.backgrounds.to_string(), s.problems.to_string()];
                [vec![s.split.to_owned()], counts.into(), more.into()].concat()
            })
            .collect();
        let splits = table(&header, &rows, &header[1..]);
        let names: Vec<_> = self.splits.iter().map(|s| s.split).collect();
        let header = [&["class"], &names[..]].concat();
        let row = |(i, name): (usize, &String)| {
            let counts = self.splits.iter().map(|s| s.objects_by_class[i].to_string());
            std::iter::once(name.clone()).chain(counts).collect()
        };
        let rows: Vec<_> = self.names.iter().enumerate().map(row).collect();
        format!("{splits}\n{}", table(&header, &rows, &names))
    }
}
