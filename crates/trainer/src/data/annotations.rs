//! Which labels belong to which picture of a split. The form is that of the files that the manifest
//! lists beside the pictures: one `.json` is COCO's, `.xml` is Pascal VOC's, `.txt` YOLO's.

use std::collections::HashMap;
use std::path::Path;

use ybox_labels::{
    AnnotationError, Code, ExactLabels, PixelLabels, Problem, Unscaled, coco, voc, yolo,
};
use ybox_spec::dataset::{is_image, label_path, voc_label_path};
use ybox_spec::manifest::{Entry, Manifest};

use super::DataError;
use super::files::read_checked;

/// Where the labels of a picture are.
#[derive(Debug, Clone)]
pub enum Annotation {
    /// There are none: the picture is background.
    None,
    Yolo(Entry),
    Voc(Entry),
    Coco(PixelLabels),
    /// The COCO file does not list the picture.
    Unlisted,
}

impl Annotation {
    /// Reads and parses them, of so many classes; without their `names` every name is taken for
    /// class 0.
    pub fn read(
        &self,
        root: &Path,
        image: &Entry,
        classes: u32,
        names: Option<&[String]>,
    ) -> Result<Unscaled, DataError> {
        let bytes = |entry: &Entry| read_checked(root, &entry.path, entry.sha256);
        Ok(match self {
            Self::None => Unscaled::background(),
            Self::Yolo(entry) => {
                Unscaled::Shares(yolo::parse(&entry.path, &bytes(entry)?, classes))
            }
            Self::Voc(entry) => voc::parse(&entry.path, &bytes(entry)?, names),
            Self::Coco(labels) => Unscaled::Pixels(labels.clone()),
            Self::Unlisted => Unscaled::Shares(unlisted(&image.path)),
        })
    }
}

fn unlisted(path: &str) -> ExactLabels {
    let problem = Problem {
        code: Code::PictureUnlisted,
        file: path.to_owned(),
        line: None,
        message: "the annotation file does not list the picture; it is left out".into(),
    };
    ExactLabels { problems: vec![problem], ..ExactLabels::default() }
}

/// The pictures of a split with their labels, and what is wrong with labels of no picture.
pub struct Annotated {
    pub pictures: Vec<(Entry, Annotation)>,
    pub problems: Vec<Problem>,
}

/// Finds the labels of the pictures of `split`.
pub fn find(manifest: &Manifest, root: &Path, split: &str) -> Result<Annotated, DataError> {
    let (images, others): (Vec<_>, Vec<_>) =
        manifest.split(split).partition(|entry| is_image(Path::new(&entry.path)));
    let mut jsons = others.iter().filter(|entry| entry.path.ends_with(".json"));
    match (jsons.next(), jsons.next()) {
        (Some(json), None) => listed(root, json, images),
        (Some(_), Some(_)) => Err(DataError::TwoAnnotations { split: split.to_owned() }),
        (None, _) => Ok(beside(images, &others)),
    }
}

fn listed(root: &Path, json: &Entry, images: Vec<&Entry>) -> Result<Annotated, DataError> {
    let mut read = coco::parse(&json.path, &read_checked(root, &json.path, json.sha256)?)?;
    let problems = std::mem::take(&mut read.problems);
    let paths: Vec<_> = images.iter().map(|image| image.path.as_str()).collect();
    let labels = read
        .of_pictures(&paths)
        .map_err(|error| AnnotationError { file: json.path.clone(), ..error })?;
    let annotation = |labels: Option<_>| labels.map_or(Annotation::Unlisted, Annotation::Coco);
    let pictures = images.into_iter().cloned().zip(labels.into_iter().map(annotation)).collect();
    Ok(Annotated { pictures, problems })
}

fn beside(images: Vec<&Entry>, others: &[&Entry]) -> Annotated {
    let by_path: HashMap<_, _> = others.iter().map(|e| (Path::new(&e.path), *e)).collect();
    let annotation = |image: &Entry| {
        let path = Path::new(&image.path);
        let at = |place: &Path| by_path.get(place).map(|entry| (*entry).clone());
        let yolo = at(&label_path(path)).map(Annotation::Yolo);
        yolo.or_else(|| at(&voc_label_path(path)).map(Annotation::Voc)).unwrap_or(Annotation::None)
    };
    let pictures = images.into_iter().map(|image| (image.clone(), annotation(image))).collect();
    Annotated { pictures, problems: Vec::new() }
}
