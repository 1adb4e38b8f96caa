//! The same labels in YOLO's, COCO's and Pascal VOC's form are the same objects.
#![allow(clippy::unwrap_used)]

mod data_support;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use data_support::{Drawn, OPTIONS, bccd, entry};
use serde_json::json;
use ybox_spec::manifest::{Entry, Manifest};
use ytrain::data::{Code, DataError, Picture, ScanOptions, Split, scan};

const NAMES: [&str; 3] = ["RBC", "WBC", "Platelets"];

fn options() -> ScanOptions {
    ScanOptions { names: Some(NAMES.map(String::from).into()), ..OPTIONS }
}

fn read(manifest: &Manifest, root: &Path) -> Split {
    scan(manifest, root, "val", &options(), |_, _| {}).unwrap()
}

/// Corners in pixels.
fn corners(bbox: [f32; 4], (width, height): (u32, u32)) -> [f64; 4] {
    let [cx, cy, w, h] = bbox.map(f64::from);
    let (width, height) = (f64::from(width), f64::from(height));
    [
        (cx - w / 2.0) * width,
        (cy - h / 2.0) * height,
        (cx + w / 2.0) * width,
        (cy + h / 2.0) * height,
    ]
}

/// The blood cells of the validation split with their pictures in a folder of their own, where
/// annotations in other forms can be written.
fn cells(folder: &str) -> Option<(tempfile::TempDir, Vec<Entry>, Split)> {
    let (root, manifest) = bccd()?;
    let yolo = read(&manifest, &root);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join(folder)).unwrap();
    let copied = yolo.samples.iter().map(|sample| {
        let name = Path::new(&sample.path).file_name().unwrap().to_str().unwrap();
        let path = format!("{folder}/{name}");
        fs::copy(root.join(&sample.path), dir.path().join(&path)).unwrap();
        entry(dir.path(), "val", &path)
    });
    let entries = copied.collect();
    Some((dir, entries, yolo))
}

fn assert_same(a: &Split, b: &Split) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.samples.iter().zip(&b.samples) {
        assert_eq!(Path::new(&a.path).file_name(), Path::new(&b.path).file_name());
        assert_eq!(a.objects.len(), b.objects.len(), "{}", a.path);
        for (a, b) in a.objects.iter().zip(&b.objects) {
            assert_eq!(a.class, b.class);
            a.bbox.iter().zip(b.bbox).for_each(|(a, b)| assert!((a - b).abs() < 2e-6, "{a} {b}"));
        }
    }
}

#[test]
fn blood_cells_from_coco_are_those_from_yolo() {
    let Some((dir, mut entries, yolo)) = cells("images/val") else { return };
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (id, sample) in yolo.samples.iter().enumerate() {
        let name = Path::new(&sample.path).file_name().unwrap().to_str().unwrap();
        images.push(json!({"id": id, "file_name": name, "width": 640, "height": 480}));
        for object in &sample.objects {
            let [l, t, r, b] = corners(object.bbox, (640, 480));
            let category = 10 * (object.class + 1);
            let bbox = [l, t, r - l, b - t];
            annotations.push(
                json!({"id": annotations.len(), "image_id": id, "category_id": category, "bbox": bbox}),
            );
        }
    }
    annotations.push(json!({"image_id": 0, "category_id": 10, "bbox": [0, 0, 9, 9], "iscrowd": 1}));
    let categories = [(30, "Platelets"), (10, "RBC"), (20, "WBC")];
    let categories = categories.map(|(id, name)| json!({"id": id, "name": name}));
    let file = json!({"images": images, "annotations": annotations, "categories": categories});
    fs::write(dir.path().join("val.json"), file.to_string()).unwrap();
    entries.push(entry(dir.path(), "val", "val.json"));
    let coco = read(&Manifest::new(entries).unwrap(), dir.path());
    assert_same(&yolo, &coco);
    let [problem] = &coco.problems[..] else { panic!("{:?}", coco.problems) };
    assert_eq!(problem.code, Code::Ignored);
    assert!(problem.message.ends_with("not used: 1"), "{}", problem.message);
}

#[test]
fn blood_cells_from_voc_are_those_from_yolo() {
    let Some((dir, mut entries, yolo)) = cells("JPEGImages") else { return };
    fs::create_dir(dir.path().join("Annotations")).unwrap();
    for sample in &yolo.samples {
        let mut text = "<annotation><size><width>640</width><height>480</height></size>".to_owned();
        for object in &sample.objects {
            let [l, t, r, b] = corners(object.bbox, (640, 480));
            let (l, t, name) = (l + 1.0, t + 1.0, NAMES[object.class as usize]);
            write!(
                text,
                "<object><name>{name}</name><bndbox><xmin>{l}</xmin><ymin>{t}</ymin>\
                 <xmax>{r}</xmax><ymax>{b}</ymax></bndbox></object>"
            )
            .unwrap();
        }
        text += "</annotation>";
        let name = Path::new(&sample.path).with_extension("xml");
        let path = format!("Annotations/{}", name.file_name().unwrap().to_str().unwrap());
        fs::write(dir.path().join(&path), text).unwrap();
        entries.push(entry(dir.path(), "val", &path));
    }
    let voc = read(&Manifest::new(entries).unwrap(), dir.path());
    assert_same(&yolo, &voc);
    assert_eq!(voc.problems, []);
}

/// A set of two pictures with the COCO file `text`.
fn coco(text: &str) -> Drawn {
    let grey = Picture::filled(20, 10, [90; 3]);
    let bytes = {
        let set = Drawn::new().picture("a", &grey, "");
        fs::read(set.root().join("images/a.png")).unwrap()
    };
    let set = Drawn::new().file("images/a.png", &bytes).file("images/b.png", &bytes);
    set.file("coco.json", text.as_bytes())
}

const COCO: &str = r#"{"images": [{"id": 1, "file_name": "a.png"}],
    "categories": [{"id": 1, "name": "RBC"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [5, 2, 10, 5],
        "segmentation": [[5, 2, 15, 2, 15, 7]]}]}"#;

#[test]
fn a_coco_file_decides_which_pictures_count_and_keeps_outlines() {
    let split = coco(COCO).scan(&options());
    assert_eq!(split.len(), 1);
    assert_eq!(split.samples[0].polygons, [vec![[0.25, 0.2], [0.75, 0.2], [0.75, 0.7]]]);
    let [problem] = &split.problems[..] else { panic!("{:?}", split.problems) };
    assert_eq!((problem.code, problem.file.as_str()), (Code::PictureUnlisted, "images/b.png"));
}

#[test]
fn an_annotation_file_that_changed_or_means_nothing_ends_the_run() {
    let fails = |set: &Drawn| {
        scan(&set.manifest(), set.root(), "train", &options(), |_, _| {}).err().unwrap()
    };
    assert_eq!(fails(&coco("{")).code(), "annotations-unusable");
    let set = coco(COCO);
    fs::write(set.root().join("coco.json"), COCO.replace('5', "6")).unwrap();
    assert!(matches!(fails(&set), DataError::Changed { .. }));
    let set = coco(COCO).file("more.json", COCO.as_bytes());
    assert!(matches!(fails(&set), DataError::TwoAnnotations { .. }));
}
