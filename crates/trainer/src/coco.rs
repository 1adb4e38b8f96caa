//! Detections as COCO results: `predictions.json`, which pycocotools and what builds on it score.
//! The numbers are exactly those that our own metrics come from.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use ybox_labels::{ImageId, category_ids};
use ybox_spec::files;

use crate::error::TrainerError;
use crate::eval::Detection;

/// Name of the file in the run folder.
pub const FILE: &str = "predictions.json";

/// Collects the detections of pictures.
pub struct CocoResults {
    /// By class.
    categories: Vec<u64>,
    entries: Vec<Entry>,
    pictures: HashMap<ImageId, String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    image_id: ImageId,
    category_id: u64,
    /// Left, top, width, height in pixels of the original picture.
    bbox: [f64; 4],
    score: f64,
}

impl CocoResults {
    /// `names`: the classes, by number.
    pub fn new(names: &[String]) -> Self {
        Self { categories: category_ids(names), entries: Vec::new(), pictures: HashMap::new() }
    }

    /// Adds what was found in the picture at `path`, best first. Returns the path of an earlier
    /// picture with the same id, if there is one: their boxes can't be told apart in the file.
    pub fn add(&mut self, path: &str, found: &[Detection]) -> Option<String> {
        let image_id = ImageId::of(path);
        self.entries.extend(found.iter().map(|detection| {
            let [left, top, right, bottom] = detection.bbox.map(f64::from);
            Entry {
                image_id: image_id.clone(),
                category_id: self.categories[detection.class as usize],
                bbox: [left, top, right - left, bottom - top],
                score: f64::from(detection.score),
            }
        }));
        self.pictures.insert(image_id, path.to_owned())
    }

    /// Writes the file into `folder`: one entry a line.
    pub fn write(&self, folder: &Path) -> Result<(), TrainerError> {
        let path = folder.join(FILE);
        let written = files::replace_atomic(&path, |file| {
            let mut file = BufWriter::new(file);
            for (i, entry) in self.entries.iter().enumerate() {
                file.write_all(if i == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut file, entry)?;
            }
            file.write_all(if self.entries.is_empty() { b"[]\n" } else { b"\n]\n" })?;
            file.flush()
        });
        written.map_err(TrainerError::writing(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_the_same_id_are_noticed() {
        let mut results = CocoResults::new(&["a".into()]);
        assert_eq!(results.add("one/7.jpg", &[]), None);
        assert_eq!(results.add("one/8.jpg", &[]), None);
        assert_eq!(results.add("two/007.jpg", &[]), Some("one/7.jpg".into()));
    }
}
