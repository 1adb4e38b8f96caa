//! The files of the new set: pictures, labels, and the description, which comes last.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use serde_json::json;
use ybox_labels::write::{voc, yolo};
use ybox_spec::dataset::{DataSet, DataSetError, Format, VOC_ANNOTATIONS, VOC_PICTURES, VOC_SETS};

use super::entry::Entry;
use super::names::{names, stem};
use super::{ConvertError, Request, Split, annotations};
use crate::parallel::in_parallel;
use crate::ui::Screen;

/// The YAML file of a new set.
pub const DESCRIPTION: &str = "data.yaml";

/// How pictures came to their places.
#[derive(Debug, Default)]
pub struct Placed {
    pub linked: u64,
    pub copied: u64,
}

pub struct Writer<'a> {
    root: &'a Path,
    set: &'a DataSet,
    request: &'a Request<'a>,
}

impl<'a> Writer<'a> {
    /// Writes the pictures and labels of `set` in the form of `request` into `root`.
    pub fn new(root: &'a Path, set: &'a DataSet, request: &'a Request<'a>) -> Self {
        Self { root, set, request }
    }

    pub fn write(&self, splits: &[Split], screen: &Screen) -> Result<Placed, ConvertError> {
        let mut placed = Placed::default();
        let mut names = self.names(splits)?.into_iter();
        for split in splits {
            let entries = self.entries(split, &mut names);
            self.split(split.name, &entries, &mut placed, screen)?;
        }
        let splits: Vec<_> = splits.iter().map(|split| split.name).collect();
        self.save(Path::new(DESCRIPTION), self.description(&splits).as_bytes())?;
        Ok(placed)
    }

    /// New names of the pictures of all splits, one after the other. Those of a Pascal VOC set lie
    /// together.
    fn names(&self, splits: &[Split]) -> Result<Vec<String>, ConvertError> {
        let paths = |split: &'_ Split| -> Vec<PathBuf> {
            split.contents.iter().map(|content| content.path.clone()).collect()
        };
        let named = |paths: Vec<PathBuf>| {
            names(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), self.request.to)
        };
        if self.request.to == Format::Voc {
            one_label_each(splits)?;
            return named(splits.iter().flat_map(paths).collect());
        }
        let names: Result<Vec<_>, _> = splits.iter().map(|split| named(paths(split))).collect();
        Ok(names?.concat())
    }

    fn entries<'b>(&self, split: &'b Split, names: &mut vec::IntoIter<String>) -> Vec<Entry<'b>> {
        let entry = |(content, name): (&'b super::Content, String)| Entry {
            source: self.set.root().join(&content.path),
            name,
            size: content.size.expect("pictures without a size are left out"),
            objects: &content.labels.objects,
        };
        split.contents.iter().zip(names).map(entry).collect()
    }

    fn split(
        &self,
        split: &'static str,
        entries: &[Entry],
        placed: &mut Placed,
        screen: &Screen,
    ) -> Result<(), ConvertError> {
        let (pictures, labels) = self.folders(split);
        let sets = (self.request.to == Format::Voc).then(|| PathBuf::from(VOC_SETS));
        for folder in [&pictures, &labels].into_iter().chain(&sets) {
            let folder = self.root.join(folder);
            fs::create_dir_all(&folder).map_err(ConvertError::writing(&folder))?;
        }
        let bar = screen.bar(&format!("writing {split}"), entries.len() as u64);
        let done = AtomicU64::new(0);
        let written = in_parallel(entries.iter().collect(), |entry| {
            let linked = self.place(entry, &self.root.join(&pictures).join(&entry.name))?;
            if let Some((file, text)) = self.label(entry) {
                self.save(&labels.join(file), text.as_bytes())?;
            }
            bar.position(done.fetch_add(1, Ordering::Relaxed) + 1, entries.len() as u64);
            Ok::<_, ConvertError>(linked)
        });
        for linked in written {
            match linked? {
                Some(true) => placed.linked += 1,
                Some(false) => placed.copied += 1,
                None => {}
            }
        }
        self.listing(split, entries)
    }

    /// Of the pictures and the labels of `split`.
    fn folders(&self, split: &str) -> (PathBuf, PathBuf) {
        match self.request.to {
            Format::Yolo => (Path::new("images").join(split), Path::new("labels").join(split)),
            Format::Coco => (Path::new("images").join(split), "annotations".into()),
            Format::Voc => (VOC_PICTURES.into(), VOC_ANNOTATIONS.into()),
        }
    }

    /// Whether the picture is a link; none where it was there, as one of another split.
    fn place(&self, entry: &Entry, target: &Path) -> Result<Option<bool>, ConvertError> {
        if target.exists() {
            return Ok(None);
        }
        // A link to a link would lose its way from the new place.
        let path = &entry.source;
        let source = fs::canonicalize(path)
            .map_err(|source| DataSetError::Read { path: path.clone(), source })?;
        if !self.request.copy && fs::hard_link(&source, target).is_ok() {
            return Ok(Some(true));
        }
        fs::copy(&source, target).map_err(ConvertError::writing(target))?;
        Ok(Some(false))
    }

    /// The label file of one picture, where the form has such files.
    fn label(&self, entry: &Entry) -> Option<(String, String)> {
        let stem = stem(&entry.name);
        match self.request.to {
            Format::Yolo => {
                let lines = entry.objects.iter().map(|object| yolo::line(object) + "\n");
                Some((format!("{stem}.txt"), lines.collect()))
            }
            Format::Voc => {
                let text = voc::file(&entry.name, entry.size, self.set.names(), entry.objects);
                Some((format!("{stem}.xml"), text))
            }
            Format::Coco => None,
        }
    }

    /// The file that lists the pictures of `split`, where the form has one.
    fn listing(&self, split: &str, entries: &[Entry]) -> Result<(), ConvertError> {
        match self.request.to {
            Format::Yolo => Ok(()),
            Format::Coco => {
                let path = self.root.join(annotation_file(split));
                annotations::write(&path, entries, self.set.names())
                    .map_err(ConvertError::writing(path))
            }
            Format::Voc => {
                let stems: String = entries.iter().fold(String::new(), |mut text, entry| {
                    writeln!(text, "{}", stem(&entry.name)).expect("a string takes everything");
                    text
                });
                self.save(&Path::new(VOC_SETS).join(format!("{split}.txt")), stems.as_bytes())
            }
        }
    }

    /// YAML; a name as JSON is one that YAML reads as text, whatever it looks like.
    fn description(&self, splits: &[&str]) -> String {
        let mut text = "path: .\n".to_owned();
        let mut add = |line: String| text.extend([line.as_str(), "\n"]);
        if self.request.to == Format::Voc {
            add("format: voc".into());
        }
        for split in splits {
            match self.request.to {
                Format::Voc => add(format!("{split}: {split}")),
                Format::Yolo | Format::Coco => add(format!("{split}: images/{split}")),
            }
        }
        if self.request.to == Format::Coco {
            add("annotations:".into());
            splits.iter().for_each(|split| add(format!("  {split}: {}", annotation_file(split))));
        }
        add("names:".into());
        for (i, name) in self.set.names().iter().enumerate() {
            add(format!("  {i}: {}", json!(name)));
        }
        text
    }

    fn save(&self, file: &Path, bytes: &[u8]) -> Result<(), ConvertError> {
        let path = self.root.join(file);
        fs::write(&path, bytes).map_err(ConvertError::writing(path))
    }
}

/// A picture of several splits has one label file in Pascal VOC: it cannot have objects by split.
fn one_label_each(splits: &[Split]) -> Result<(), ConvertError> {
    let mut seen = HashMap::new();
    for content in splits.iter().flat_map(|split| &split.contents) {
        let objects = &content.labels.objects;
        if *seen.entry(&content.path).or_insert(objects) != objects {
            return Err(ConvertError::TwoLabels(content.path.clone()));
        }
    }
    Ok(())
}

fn annotation_file(split: &str) -> String {
    format!("annotations/instances_{split}.json")
}
