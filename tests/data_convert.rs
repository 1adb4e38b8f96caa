//! `ybox data convert`: the same objects in every form, whole sets or nothing, and files that
//! pycocotools takes.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use serde_json::Value;
use ybox_labels::{Labels, Unscaled, coco, voc, yolo};
use ybox_spec::dataset::{DataSet, Format};

/// Exit status, standard output and standard error of `ybox data convert`.
fn convert(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = assert_cmd::Command::cargo_bin("ybox")
        .unwrap()
        .current_dir(folder)
        .env("YBOX_HOME", std::env::temp_dir())
        .args(["data", "convert"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn write(folder: &Path, file: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn picture(folder: &Path, file: &str, (width, height): (u32, u32), grey: u8) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, Rgb([grey; 3])).save(path).unwrap();
}

/// Two pictures of one name, one without labels, boxes with odd numbers and at edges, an outline.
fn yolo_set(folder: &Path) {
    picture(folder, "images/train/a/1.png", (33, 47), 1);
    picture(folder, "images/train/b/1.png", (640, 480), 2);
    picture(folder, "images/train/b/2 2.png", (20, 10), 3);
    picture(folder, "images/val/7.png", (101, 99), 4);
    let lines = "1 0.123457 0.5 0.246914 0.333333\n0 0.9 0.9 0.200001 0.2\n0 0.7 0.3 0.1 0.17\n";
    write(folder, "labels/train/a/1.txt", lines);
    write(folder, "labels/train/b/1.txt", "0 0.2 0.2 0.8 0.25 0.33333333 0.7 0.2 0.9\n");
    write(folder, "labels/val/7.txt", "1 0.5 0.5 1 1\n");
    let yaml = "train: images/train\nval: images/val\nnames: ['on', 'b: <c> & \"d\"']\n";
    write(folder, "data.yaml", yaml);
}

/// The objects of the pictures of `split`, by the pictures' bytes.
fn labels(folder: &Path, split: &str) -> Vec<(Vec<u8>, Labels)> {
    let set = DataSet::open(&folder.join("data.yaml")).unwrap();
    let pictures = set.images(split).unwrap();
    let files = set.label_files(split, &pictures).unwrap();
    let bytes = |i: usize| fs::read(set.root().join(&files[i])).unwrap();
    let name = |i: usize| files[i].to_string_lossy();
    let listed: Vec<_> = match set.format() {
        Format::Coco => {
            let read = coco::parse(&name(0), &bytes(0)).unwrap();
            assert_eq!(read.problems, []);
            let paths: Vec<_> = pictures.iter().map(|p| p.to_str().unwrap()).collect();
            let found = read.of_pictures(&paths).unwrap();
            found.into_iter().map(|labels| Unscaled::Pixels(labels.unwrap())).collect()
        }
        Format::Voc => (0..pictures.len())
            .map(|i| voc::parse(&name(i), &bytes(i), Some(set.names())))
            .collect(),
        Format::Yolo => (0..pictures.len())
            .map(|i| match set.root().join(&files[i]).exists() {
                true => Unscaled::Shares(yolo::parse(&name(i), &bytes(i), 9)),
                false => Unscaled::background(),
            })
            .collect(),
    };
    let mut found: Vec<_> = pictures
        .iter()
        .zip(listed)
        .map(|(path, labels)| {
            let bytes = fs::read(set.root().join(path)).unwrap();
            let size = image::load_from_memory(&bytes).unwrap();
            (bytes, Labels::from(labels.scale(size.width(), size.height())))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn names(folder: &Path) -> Vec<String> {
    DataSet::open(&folder.join("data.yaml")).unwrap().names().to_vec()
}

#[test]
fn a_set_comes_back_from_a_round_through_all_forms() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    yolo_set(&at("0"));
    for (from, to, form) in [("0", "1", "coco"), ("1", "2", "voc"), ("2", "3", "yolo")] {
        let (status, out, error) =
            convert(dir.path(), &[&format!("{from}/data.yaml"), to, "--to", form]);
        assert_eq!((status, out), (0, format!("{to}/data.yaml\n")), "{error}");
        let lost = "note: outlines left out, since Pascal VOC has no outlines: 1\n";
        assert_eq!(error.contains(lost), form == "voc", "{error}");
        assert!(error.contains("pictures linked: 4, copied: 0\n"), "{error}");
        assert_eq!(names(&at(to)), names(&at("0")));
        for split in ["train", "val"] {
            let (before, after) = (labels(&at("0"), split), labels(&at(to), split));
            assert_eq!(before.len(), after.len());
            for ((picture, before), (same, mut after)) in before.into_iter().zip(after) {
                assert!(picture == same);
                if form != "coco" {
                    after.polygons.clone_from(&before.polygons);
                }
                assert_eq!(before, after);
            }
        }
    }
    // Six digits are six digits again.
    let first = fs::read_to_string(at("0").join("labels/train/a/1.txt")).unwrap();
    let last = fs::read_to_string(at("3").join("labels/train/images_train_a_1.txt")).unwrap();
    assert_eq!(first.lines().next(), last.lines().next());
    let listed = fs::read_to_string(at("2").join("ImageSets/Main/train.txt")).unwrap();
    assert_eq!(listed, "2_2\nimages_train_a_1\nimages_train_b_1\n");
}

#[test]
fn bad_labels_are_refused_with_file_and_line_or_left_out() {
    let dir = tempfile::tempdir().unwrap();
    yolo_set(&dir.path().join("set"));
    write(dir.path(), "set/labels/val/7.txt", "1 0.5 0.5 1 1\n1 0.5 x 1 1\n");
    write(dir.path(), "set/images/val/8.png", "no picture");
    let (status, out, error) = convert(dir.path(), &["set/data.yaml", "new", "--to", "coco"]);
    assert_eq!((status, out.as_str()), (1, ""));
    insta::assert_snapshot!("data_convert_refused", error);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let more = ["set/data.yaml", "new", "--to", "coco", "--drop-bad", "--json", "--copy"];
    let (status, out, _) = convert(dir.path(), &more);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &report["splits"][1]["pictures"]), (0, &1.into()));
    assert_eq!(report["dropped"][0]["line"], 2);
    assert_eq!((&report["linked"], &report["copied"]), (&0.into(), &4.into()));
    assert_eq!(labels(&dir.path().join("new"), "val")[0].1.objects.len(), 1);
    let links = |path: &str| fs::metadata(dir.path().join(path)).unwrap().nlink();
    assert_eq!((links("new/images/val/7.png"), links("set/images/val/7.png")), (1, 1));
}

#[test]
fn what_is_there_stays_and_names_must_fit() {
    let dir = tempfile::tempdir().unwrap();
    yolo_set(&dir.path().join("set"));
    fs::create_dir(dir.path().join("there")).unwrap();
    let (status, _, error) = convert(dir.path(), &["set/data.yaml", "there", "--to", "voc"]);
    assert_eq!(status, 1);
    assert!(error.starts_with("error: there is already there\n"), "{error}");
    let yaml = "train: images/train\nval: images/val\nnames: ['x', ' y']\n";
    write(dir.path(), "set/data.yaml", yaml);
    let (status, _, error) = convert(dir.path(), &["set/data.yaml", "new", "--to", "voc"]);
    assert_eq!(status, 1);
    assert!(error.contains("cannot name the class \" y\""), "{error}");
    assert!(!dir.path().join("new").exists());
}

#[test]
fn boxes_of_coco_may_differ_from_their_outlines() {
    let dir = tempfile::tempdir().unwrap();
    picture(dir.path(), "images/a.png", (20, 10), 1);
    let file = r#"{"images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 4, "name": "x"}],
        "annotations": [{"image_id": 1, "category_id": 4, "bbox": [1, 1, 9, 5.5],
            "segmentation": [[1, 1, 10, 1, 10, 6]]},
            {"image_id": 1, "category_id": 4, "bbox": [2, 2, 5, 5], "segmentation": [[1, 2, 3, 2, 5, 2]]},
            {"image_id": 1, "category_id": 4, "bbox": [1, 1, 5, 5], "iscrowd": 1}]}"#;
    write(dir.path(), "a.json", file);
    write(dir.path(), "data.yaml", "train: images\nannotations: {train: a.json}\n");
    let (status, _, error) = convert(dir.path(), &["data.yaml", "new", "--to", "yolo"]);
    assert_eq!(status, 0, "{error}");
    insta::assert_snapshot!("data_convert_notes", error);
    let line = "0 0.05 0.1 0.5 0.1 0.5 0.6\n0 0.225 0.45 0.25 0.5\n";
    assert_eq!(fs::read_to_string(dir.path().join("new/labels/train/a.txt")).unwrap(), line);
    let (status, _, error) =
        convert(dir.path(), &["data.yaml", "boxes", "--to", "yolo", "--boxes-only"]);
    assert_eq!(status, 0, "{error}");
    let line = "0 0.275 0.375 0.45 0.55\n0 0.225 0.45 0.25 0.5\n";
    assert_eq!(fs::read_to_string(dir.path().join("boxes/labels/train/a.txt")).unwrap(), line);
}

#[test]
fn a_picture_of_two_splits_cannot_have_two_labels_where_the_form_has_one() {
    let dir = tempfile::tempdir().unwrap();
    picture(dir.path(), "images/1.png", (100, 100), 1);
    let set = |left: u32| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "1.png", "width": 100, "height": 100}}],
                "annotations": [{{"id": 1, "image_id": 1, "category_id": 1,
                                  "bbox": [{left}, 10, 20, 20]}}],
                "categories": [{{"id": 1, "name": "a"}}]}}"#
        )
    };
    let yaml = "train: images\nval: images\nannotations: {train: a.json, val: b.json}\n";
    write(dir.path(), "data.yaml", yaml);
    write(dir.path(), "a.json", set(10));
    write(dir.path(), "b.json", set(30));
    let (status, _, error) = convert(dir.path(), &["data.yaml", "voc", "--to", "voc"]);
    assert_eq!(status, 1, "{error}");
    assert!(error.contains("images/1.png has other objects in one split"), "{error}");
    assert!(!dir.path().join("voc").exists());
    assert_eq!(convert(dir.path(), &["data.yaml", "yolo", "--to", "yolo"]).0, 0);
    write(dir.path(), "b.json", set(10));
    assert_eq!(convert(dir.path(), &["data.yaml", "voc", "--to", "voc"]).0, 0);
}

#[test]
fn pycocotools_reads_what_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/oracle-venv/bin/python");
    if !python.exists() {
        println!("skipped: no {}; scripts/oracle-venv.sh makes it", python.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    yolo_set(&dir.path().join("set"));
    let (status, _, error) = convert(dir.path(), &["set/data.yaml", "new", "--to", "coco"]);
    assert_eq!(status, 0, "{error}");
    // Finding exactly what is there is a perfect score, and masks have the areas of the outlines.
    let script = r#"
import sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
coco = COCO(sys.argv[1])
anns = coco.loadAnns(coco.getAnnIds())
found = [dict(image_id=a["image_id"], category_id=a["category_id"], bbox=a["bbox"], score=0.5) for a in anns]
scored = COCOeval(coco, coco.loadRes(found), "bbox")
scored.evaluate(); scored.accumulate(); scored.summarize()
for a in anns:
    if a["segmentation"]:
        assert abs(coco.annToMask(a).sum() - a["area"]) < 0.02 * a["area"], a
print(len(anns), round(scored.stats[0], 9))
"#;
    for (split, objects) in [("train", 4), ("val", 1)] {
        let file = dir.path().join(format!("new/annotations/instances_{split}.json"));
        let output = Command::new(&python).args(["-c", script]).arg(file).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().last(), Some(format!("{objects} 1.0").as_str()), "{error}");
    }
}

#[test]
fn the_blood_cells_keep_their_boxes() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bccd");
    if !shared.join("data.yaml").exists() {
        println!("skipped: {} is absent", shared.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = shared.join("data.yaml").display().to_string();
    let (status, _, error) = convert(dir.path(), &[&data, "0", "--to", "voc"]);
    assert_eq!((status, error.contains("zero-size  ")), (1, true), "{error}");
    let rounds =
        [(data.as_str(), "0", "voc"), ("0/data.yaml", "1", "coco"), ("1/data.yaml", "2", "yolo")];
    for (from, to, form) in rounds {
        let (status, _, error) = convert(dir.path(), &[from, to, "--to", form, "--drop-bad"]);
        assert_eq!(status, 0, "{error}");
        for split in ["train", "val"] {
            let objects = |folder: &Path| -> Vec<_> {
                labels(folder, split).into_iter().map(|(_, labels)| labels.objects).collect()
            };
            assert!(objects(&shared) == objects(&dir.path().join(to)), "{form} {split}");
        }
    }
}
