//! `ybox data check`: what it prints of good and of bad data sets, and its exit status.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;

/// Exit status and standard output of `ybox data check data.yaml` in `folder`.
fn check(folder: &Path, options: &[&str]) -> (i32, String) {
    let output = assert_cmd::Command::cargo_bin("ybox")
        .unwrap()
        .current_dir(folder)
        .env("YBOX_HOME", std::env::temp_dir())
        .args(["data", "check", "data.yaml"])
        .args(options)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn write(folder: &Path, file: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A picture of 20 by 10 pixels in a grey of its own.
fn picture(folder: &Path, file: &str, grey: u8) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(20, 10, Rgb([grey; 3])).save(path).unwrap();
}

fn bad_yolo(folder: &Path) {
    for (file, grey) in [("train/a", 1), ("train/b", 2), ("train/c", 3), ("val/d", 1)] {
        picture(folder, &format!("images/{file}.png"), grey);
    }
    let whole = fs::read(folder.join("images/train/a.png")).unwrap();
    write(folder, "images/train/e.png", &whole[..whole.len() - 20]);
    write(folder, "labels/train/a.txt", "0 .5 .5 .5 .5\n7 .5 .5 .5 .5\n0 .5 .5 .5 .5\nx\n");
    write(folder, "labels/train/b.txt", "0 .5 .5 .5 .5\n0 1 .5 .5 .5\n");
    write(folder, "labels/val/d.txt", "1 .5 .5 .5 .5\n");
    fs::create_dir_all(folder.join("images/test")).unwrap();
    let yaml = "train: images/train\nval: images/val\ntest: images/test\nnames: [x, y]\n";
    write(folder, "data.yaml", yaml);
}

#[test]
fn everything_wrong_is_listed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    bad_yolo(dir.path());
    let (status, text) = check(dir.path(), &[]);
    assert_eq!(status, 1);
    insta::assert_snapshot!("data_check", text);
    let (status, json) = check(dir.path(), &["--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status, 1);
    assert_eq!(report["splits"][0]["objects_by_class"], serde_json::json!([3, 0]));
    assert_eq!(report["problems"][0]["code"], "class-out-of-range");
    assert_eq!(report["problems"][0]["line"], 2);
}

#[test]
fn a_coco_set_is_checked_with_its_annotation_file() {
    let dir = tempfile::tempdir().unwrap();
    picture(dir.path(), "images/a.png", 1);
    let file = |name: &str| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "{name}", "width": 20, "height": 10}}],
            "categories": [{{"id": 4, "name": "x"}}],
            "annotations": [{{"image_id": 1, "category_id": 4, "bbox": [1, 1, 5, 5]}},
            {{"image_id": 2, "category_id": 4, "bbox": [1, 1, 5, 5]}},
            {{"image_id": 1, "category_id": 4, "bbox": [1, 1, 9, 9], "iscrowd": 1}}]}}"#
        )
    };
    write(dir.path(), "a.json", file("a.png"));
    write(dir.path(), "data.yaml", "train: images\nannotations: {train: a.json}\n");
    let (status, text) = check(dir.path(), &[]);
    assert_eq!(status, 1);
    insta::assert_snapshot!("data_check_coco", text);
    write(dir.path(), "a.json", file("b.png"));
    let (status, text) = check(dir.path(), &[]);
    assert_eq!(status, 1);
    assert!(text.starts_with("picture-missing  b.png: "), "{text}");
}

#[test]
fn a_voc_set_is_checked_picture_by_picture() {
    let dir = tempfile::tempdir().unwrap();
    picture(dir.path(), "JPEGImages/a.png", 1);
    picture(dir.path(), "JPEGImages/b.png", 2);
    let voc = "<annotation><size><width>20</width><height>10</height></size><object><name>x</name>\n\
               <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>\n\
               <object><name>z</name></object></annotation>";
    write(dir.path(), "Annotations/a.xml", voc);
    write(dir.path(), "ImageSets/Main/train.txt", "a\nb\nc\n");
    write(dir.path(), "data.yaml", "format: voc\ntrain: train\nnames: [x]\n");
    let (status, text) = check(dir.path(), &[]);
    assert_eq!(status, 1);
    insta::assert_snapshot!("data_check_voc", text);
}

#[test]
fn samples_are_drawn_on_sheets() {
    let dir = tempfile::tempdir().unwrap();
    bad_yolo(dir.path());
    let (status, text) = check(dir.path(), &["--pictures", "samples"]);
    assert_eq!(status, 1);
    assert!(text.ends_with("\nsamples: samples/train0.jpg\nsamples: samples/val0.jpg\n"), "{text}");
    let sheet = image::open(dir.path().join("samples/train0.jpg")).unwrap();
    // Of the four pictures three can be decoded; each is 480 wide, with a gap around it.
    assert_eq!((sheet.width(), sheet.height()), (3 * 484 + 4, 484 + 4));
    let (_, json) = check(dir.path(), &["--pictures", "samples", "--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["pictures"], serde_json::json!(["samples/train0.jpg", "samples/val0.jpg"]));
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(check(dir.path(), &["--pictures", "file"]).0, 2);
}

#[test]
fn the_blood_cells_have_two_boxes_without_size() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bccd");
    if !shared.join("data.yaml").exists() {
        println!("skipped: {} is absent", shared.display());
        return;
    }
    let (status, json) = check(&shared, &["--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status, 1);
    let codes: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes.iter().filter(|code| **code == "zero-size").count(), 2, "{codes:?}");
    assert_eq!(report["splits"][0]["pictures"], 205);
}
