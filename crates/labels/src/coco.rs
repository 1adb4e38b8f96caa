//! Reading COCO's annotation file of a split: boxes `[x, y, width, height]` in pixels, outlines as
//! lists of points. Category ids become class indices in ascending order. An outline of several
//! parts becomes one closed line that goes from the first part to each other and back.

use std::collections::HashMap;

use serde::Deserialize;
use serde::Deserializer;
use serde_json::value::RawValue;
use ybox_spec::dataset::coco::{Category, Image, Index, match_names};

use super::lines::Lines;
use super::{AnnotationError, Code, Finding, PixelLabels, PixelObject, Place, Problem};

/// What an annotation file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// Class names in the order of the class indices.
    pub names: Vec<String>,
    /// Pictures by file name, with what is on them.
    pub pictures: Vec<(String, PixelLabels)>,
    /// What belongs to no picture.
    pub problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Document<'a> {
    images: Vec<Image>,
    categories: Vec<Category>,
    /// Parsed one by one, so that a bad one costs itself alone.
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(default)]
    segmentation: Segmentation,
    #[serde(default)]
    iscrowd: u8,
}

/// Reads the content of annotation file `file`.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Annotations, AnnotationError> {
    let unusable = |reason: String| AnnotationError { file: file.to_owned(), reason };
    let text = std::str::from_utf8(bytes).map_err(|e| unusable(e.to_string()))?;
    let document: Document = serde_json::from_str(text).map_err(|e| unusable(e.to_string()))?;
    let index = Index::new(document.images, document.categories).map_err(unusable)?;
    let mut reader = Reader::new(file, index);
    let lines = Lines::of(text);
    for (i, raw) in document.annotations.into_iter().enumerate() {
        // The raw values are slices of the text.
        let offset = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        reader.annotation(i, lines.line(offset), raw.get());
    }
    Ok(reader.annotations)
}

impl Annotations {
    /// The labels of each of `pictures`, which are paths with `/`; none for one that the file does
    /// not list.
    pub fn of_pictures(
        self,
        pictures: &[&str],
    ) -> Result<Vec<Option<PixelLabels>>, AnnotationError> {
        let names: Vec<_> = self.pictures.iter().map(|(name, _)| name.as_str()).collect();
        let matched = match_names(pictures, &names).map_err(|reason| {
            let file = self.pictures.first().map(|(_, labels)| labels.file.clone());
            AnnotationError { file: file.unwrap_or_default(), reason }
        })?;
        let mut labels: Vec<_> = self.pictures.into_iter().map(|(_, l)| Some(l)).collect();
        Ok(matched.into_iter().map(|found| labels[found?].take()).collect())
    }
}

struct Reader {
    file: String,
    annotations: Annotations,
    images: HashMap<i64, usize>,
    classes: HashMap<i64, u32>,
}

impl Reader {
    fn new(file: &str, index: Index) -> Self {
        let names = index.names();
        let images = index.images.iter().enumerate().map(|(i, image)| (image.id, i)).collect();
        let classes = (0..).zip(&index.categories).map(|(i, c)| (c.id, i)).collect();
        let picture = |image: Image| {
            let size = image.width.zip(image.height).filter(|(w, h)| *w > 0 && *h > 0);
            let labels = PixelLabels { file: file.to_owned(), size, ..PixelLabels::default() };
            (image.file_name, labels)
        };
        let pictures = index.images.into_iter().map(picture).collect();
        let annotations = Annotations { names, pictures, problems: Vec::new() };
        Self { file: file.to_owned(), annotations, images, classes }
    }

    fn annotation(&mut self, i: usize, line: u64, raw: &str) {
        let place = Place { list: "annotations", index: i };
        let problem = |(code, message): Finding| {
            let message = format!("{place}: {message}");
            Problem { code, file: self.file.clone(), line: Some(line), message }
        };
        let annotation = match read(raw) {
            Ok(annotation) => annotation,
            Err(finding) => return self.annotations.problems.push(problem(finding)),
        };
        let Some(&picture) = self.images.get(&annotation.image_id) else {
            let message =
                format!("image_id {} is none of `images`; it is dropped", annotation.image_id);
            return self.annotations.problems.push(problem((Code::PictureUnknown, message)));
        };
        let labels = &mut self.annotations.pictures[picture].1;
        if annotation.iscrowd != 0 {
            labels.ignored += 1;
            return;
        }
        let Some(&class) = self.classes.get(&annotation.category_id) else {
            let id = annotation.category_id;
            let message = format!("category_id {id} is none of `categories`; it is dropped");
            return labels.problems.push(problem((Code::ClassUnknown, message)));
        };
        let polygon = annotation.segmentation.outline().unwrap_or_else(|reason| {
            let message = format!("{reason}; only the box is used");
            labels.problems.push(problem((Code::PolygonDropped, message)));
            Vec::new()
        });
        let [x, y, w, h] = annotation.bbox;
        let corners = [x, y, x + w, y + h];
        labels.objects.push(PixelObject { class, corners, polygon, line: Some(line), place });
    }
}

fn read(raw: &str) -> Result<Annotation, Finding> {
    // Its place within the object says nothing beside the annotation's own.
    serde_json::from_str(raw).map_err(|error| {
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or(&message);
        (Code::ObjectMalformed, format!("{reason}; it is dropped"))
    })
}

/// What stands under `segmentation`.
#[derive(Default)]
enum Segmentation {
    #[default]
    None,
    Parts(Vec<Vec<f64>>),
    RunLength,
    Malformed,
}

impl Segmentation {
    /// Points of the outline; none for a mere box.
    fn outline(&self) -> Result<Vec<[f64; 2]>, &'static str> {
        let parts = match self {
            Self::None => return Ok(Vec::new()),
            Self::RunLength => return Err("the mask is run-length encoded"),
            Self::Malformed => return Err("`segmentation` is not lists of numbers"),
            Self::Parts(parts) => parts,
        };
        if parts.iter().any(|part| part.len() < 6 || part.len() % 2 == 1) {
            return Err("a part of `segmentation` is not three or more points");
        }
        let mut outline: Vec<[f64; 2]> = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let first = [part[0], part[1]];
            outline.extend(part.as_chunks::<2>().0);
            match i {
                0 if parts.len() > 1 => outline.push(first),
                0 => {}
                // Back along the way it came: the two lines enclose nothing.
                _ => outline.extend([first, outline[0]]),
            }
        }
        Ok(outline)
    }
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'{') => Self::RunLength,
            Some(b'n') => Self::None,
            _ => match serde_json::from_str::<Vec<Vec<f64>>>(raw) {
                Ok(parts) if parts.is_empty() => Self::None,
                Ok(parts) => Self::Parts(parts),
                Err(_) => Self::Malformed,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(annotations: &[&str]) -> String {
        format!(
            "{{\"images\": [{{\"id\": 5, \"file_name\": \"a.jpg\", \"width\": 200, \"height\": 100}},\n\
             {{\"id\": 6, \"file_name\": \"b.jpg\"}}],\n\
             \"categories\": [{{\"id\": 9, \"name\": \"y\"}}, {{\"id\": 2, \"name\": \"x\"}}],\n\
             \"annotations\": [\n{}\n]}}",
            annotations.join(",\n")
        )
    }

    const GOOD: &str = r#"{"image_id": 5, "category_id": 9, "bbox": [20, 10, 40, 20.0]}"#;

    #[test]
    fn categories_become_classes_in_the_order_of_their_ids() {
        let read = parse("c.json", file(&[GOOD]).as_bytes()).unwrap();
        assert_eq!(read.names, ["x", "y"]);
        let found = read.of_pictures(&["i/b.jpg", "i/a.jpg", "i/c.jpg"]).unwrap();
        assert_eq!(found[0].as_ref().unwrap().size, None);
        let labels = found[1].clone().unwrap().scale(200, 100);
        let object = labels.objects[0].rounded();
        assert_eq!((object.class, object.bbox), (1, [0.2, 0.2, 0.2, 0.2]));
        assert_eq!(found[2], None);
    }

    #[test]
    fn a_bad_annotation_costs_itself_and_says_where_it_is() {
        let bad = [
            (r#"{"image_id": 5, "category_id": 9}"#, Code::ObjectMalformed, "missing field `bbox`"),
            (r#"{"image_id": 5, "category_id": 9, "bbox": [1, 2, 3]}"#, Code::ObjectMalformed, "3"),
            (
                r#"{"image_id": 5, "category_id": 9, "bbox": [1, 2, 3, "4"]}"#,
                Code::ObjectMalformed,
                "invalid type: string \"4\", expected f64",
            ),
            ("7", Code::ObjectMalformed, "invalid type"),
            (
                r#"{"image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]}"#,
                Code::PictureUnknown,
                "image_id 7",
            ),
            (
                r#"{"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}"#,
                Code::ClassUnknown,
                "category_id 1",
            ),
        ];
        for (text, code, reason) in bad {
            let read = parse("c.json", file(&[GOOD, text]).as_bytes()).unwrap();
            let labels = &read.pictures[0].1;
            assert_eq!(labels.objects.len(), 1, "{text}");
            let problem = read.problems.first().or(labels.problems.first()).unwrap();
            assert_eq!((problem.code, problem.line), (code, Some(6)), "{problem:?}");
            assert!(problem.message.starts_with("annotations[1]: "), "{problem:?}");
            assert!(problem.message.contains(reason), "{problem:?}");
        }
    }

    #[test]
    fn outlines_are_kept_and_their_parts_joined() {
        let with = |segmentation: &str| {
            let text = format!(
                r#"{{"image_id": 5, "category_id": 2, "bbox": [0, 0, 9, 9], "segmentation": {segmentation}}}"#
            );
            let read = parse("c.json", file(&[&text]).as_bytes()).unwrap();
            let labels = read.pictures[0].1.clone();
            (labels.objects[0].polygon.clone(), labels.problems.len())
        };
        assert_eq!(with("[[0,0, 9,0, 9,9]]"), (vec![[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]], 0));
        let joined = with("[[0,0, 1,0, 1,1], [5,5, 6,5, 6,6]]").0;
        let expected = [[0, 0], [1, 0], [1, 1], [0, 0], [5, 5], [6, 5], [6, 6], [5, 5], [0, 0]];
        assert_eq!(joined, expected.map(|p| p.map(f64::from)));
        assert_eq!(area(&joined), 1.0);
        for (none, problems) in
            [("[]", 0), ("null", 0), ("[[1,2]]", 1), ("{\"counts\": [1]}", 1), ("[[\"a\"]]", 1)]
        {
            assert_eq!(with(none), (vec![], problems), "{none}");
        }
    }

    /// The shoelace formula.
    fn area(points: &[[f64; 2]]) -> f64 {
        let next = points.iter().cycle().skip(1);
        points.iter().zip(next).map(|(a, b)| (a[0] * b[1] - b[0] * a[1]) / 2.0).sum()
    }

    #[test]
    fn crowds_are_counted_and_not_used() {
        let crowd = r#"{"image_id": 5, "category_id": 9, "bbox": [1, 2, 3, 4], "iscrowd": 1,
            "segmentation": {"counts": [1], "size": [1, 1]}}"#;
        let read = parse("c.json", file(&[GOOD, crowd]).as_bytes()).unwrap();
        let labels = &read.pictures[0].1;
        assert_eq!((labels.objects.len(), labels.ignored, labels.problems.len()), (1, 1, 0));
    }

    #[test]
    fn a_file_that_is_no_coco_file_is_an_error() {
        for (text, reason) in [
            ("{\"images\": [],\n", "line 2"),
            ("{\"images\": [], \"categories\": []}", "missing field `annotations`"),
            ("[]", "invalid"),
        ] {
            let error = parse("c.json", text.as_bytes()).unwrap_err().to_string();
            assert!(
                error.starts_with("c.json cannot be used: ") && error.contains(reason),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let _ = parse("c.json", text.as_bytes());
            let _ = parse("c.json", file(&[&text]).as_bytes());
        }
    }
}
