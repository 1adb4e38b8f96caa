//! Where labels lie beside pictures, in each of the forms that a data set may have.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The form of a data set's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A text file for each picture, one line for each object.
    Yolo,
    /// A JSON file for each split.
    Coco,
    /// An XML file for each picture.
    Voc,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Yolo => "yolo",
            Self::Coco => "coco",
            Self::Voc => "voc",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Folders of a Pascal VOC set.
pub const VOC_PICTURES: &str = "JPEGImages";
pub const VOC_ANNOTATIONS: &str = "Annotations";
pub const VOC_SETS: &str = "ImageSets/Main";

/// The label file of a picture: the last folder called `images` becomes `labels`, the ending `txt`.
pub fn label_path(image: &Path) -> PathBuf {
    beside(image, "images", "labels", "txt")
}

/// The same of a Pascal VOC set: `JPEGImages` becomes `Annotations`, the ending `xml`.
pub fn voc_label_path(image: &Path) -> PathBuf {
    beside(image, VOC_PICTURES, VOC_ANNOTATIONS, "xml")
}

fn beside(image: &Path, from: &str, to: &str, ending: &str) -> PathBuf {
    let mut parts: Vec<_> = image.components().map(|c| c.as_os_str().to_owned()).collect();
    let folders = parts.len().saturating_sub(1);
    if let Some(i) = parts[..folders].iter().rposition(|p| p == from) {
        parts[i] = to.into();
    }
    parts.iter().collect::<PathBuf>().with_extension(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_images_folder_becomes_labels() {
        for (image, label) in [
            ("images/train/1.jpg", "labels/train/1.txt"),
            ("images/images/1.tar.png", "images/labels/1.tar.txt"),
            ("flat/images.jpg", "flat/images.txt"),
        ] {
            assert_eq!(label_path(Path::new(image)), PathBuf::from(label));
        }
        let label = voc_label_path(Path::new("VOC2007/JPEGImages/1.jpg"));
        assert_eq!(label, PathBuf::from("VOC2007/Annotations/1.xml"));
    }
}
