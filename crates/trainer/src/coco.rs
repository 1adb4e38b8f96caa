//! Detections as COCO results: `predictions.json`, which pycocotools and what builds on it score.
//! The numbers are exactly those that our own metrics come from.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
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

/// What a picture is called: the number that its file's stem is, else the stem.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum ImageId {
    Number(u64),
    Name(String),
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
        Self { categories: categories(names), entries: Vec::new(), pictures: HashMap::new() }
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

impl ImageId {
    fn of(path: &str) -> Self {
        let stem = Path::new(path).file_stem().and_then(|s| s.to_str()).unwrap_or(path);
        let digits = stem.bytes().all(|byte| byte.is_ascii_digit());
        match stem.parse() {
            Ok(number) if digits => Self::Number(number),
            _ => Self::Name(stem.to_owned()),
        }
    }
}

/// COCO's 80 classes have ids up to 90, without these.
const UNUSED_IDS: [u64; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// Ids count from 1; COCO's own classes have their own ids.
fn categories(names: &[String]) -> Vec<u64> {
    let ends = (names.first().map(String::as_str), names.last().map(String::as_str));
    let is_coco = names.len() == 80 && ends == (Some("person"), Some("toothbrush"));
    (1..).filter(|id| !is_coco || !UNUSED_IDS.contains(id)).take(names.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_called_by_number_where_they_have_one() {
        let name = |name: &str| ImageId::Name(name.into());
        assert_eq!(ImageId::of("images/val/000000000139.jpg"), ImageId::Number(139));
        assert_eq!(ImageId::of("a/frame.07.png"), name("frame.07"));
        assert_eq!(ImageId::of("+7.png"), name("+7"));
        let long = "99999999999999999999999";
        assert_eq!(ImageId::of(&format!("{long}.png")), name(long));
    }

    #[test]
    fn pictures_of_the_same_id_are_noticed() {
        let mut results = CocoResults::new(&["a".into()]);
        assert_eq!(results.add("one/7.jpg", &[]), None);
        assert_eq!(results.add("one/8.jpg", &[]), None);
        assert_eq!(results.add("two/007.jpg", &[]), Some("one/7.jpg".into()));
    }

    #[test]
    fn categories_count_from_one_and_are_cocos_own_for_its_classes() {
        let mut names: Vec<String> = (0..80).map(|i| i.to_string()).collect();
        assert_eq!(categories(&names)[79], 80);
        (names[0], names[79]) = ("person".into(), "toothbrush".into());
        let ids = categories(&names);
        assert_eq!([ids[0], ids[10], ids[11], ids[79]], [1, 11, 13, 90]);
    }
}
