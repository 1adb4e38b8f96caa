//! Reading splits: the blood cell set with its two bad lines, and everything that may be wrong
//! with a file.
#![allow(clippy::unwrap_used)]

mod data_support;

use std::fs;

use data_support::{Drawn, OPTIONS, bccd};
use ytrain::data::{Code, DataError, Picture, ScanOptions, scan, sources};

fn grey(width: u32, height: u32) -> Picture {
    Picture::filled(width, height, [90; 3])
}

#[test]
fn the_blood_cell_set_has_two_boxes_without_size() {
    let Some((root, manifest)) = bccd() else { return };
    let expected = [
        ("train", 205, "labels/train/BloodImage_00343.txt", 4),
        ("val", 87, "labels/val/BloodImage_00338.txt", 13),
    ];
    for (split, pictures, file, line) in expected {
        let found = scan(&manifest, &root, split, &OPTIONS, |_, _| {}).unwrap();
        assert_eq!(found.len(), pictures);
        assert!(found.samples.iter().all(|s| (s.width, s.height) == (640, 480)));
        let [problem] = &found.problems[..] else { panic!("{:?}", found.problems) };
        assert_eq!(problem.code, Code::ZeroSize);
        assert_eq!((problem.file.as_str(), problem.line), (file, Some(line)));
        let lines: usize = manifest
            .split(split)
            .filter(|e| e.path.ends_with(".txt"))
            .map(|e| fs::read_to_string(root.join(&e.path)).unwrap().lines().count())
            .sum();
        assert_eq!(found.objects(), lines - 1);
    }
}

#[test]
fn bad_files_are_left_out_and_reported_and_the_others_stay() {
    let set = Drawn::new()
        .picture("a", &grey(20, 10), "0 .5 .5 .5 .5\nx\n")
        .file("images/b.png", b"not a picture")
        .file("labels/b.txt", b"0 .5 .5 .5 .5\n")
        .picture("c", &grey(10, 20), "")
        .file("images/d.jpg", &sample_jpeg()[..300])
        .picture("e", &grey(10, 10), "1 .5 .5 .5 .5\n")
        .file("labels/f.txt", b"\xff\xfe");
    let bytes = fs::read(set.root().join("images/a.png")).unwrap();
    let set = set.file("images/f.png", &bytes).file("images/g.png", &bytes);
    let mut heard = Vec::new();
    let split =
        scan(&set.manifest(), set.root(), "train", &OPTIONS, |d, t| heard.push((d, t))).unwrap();
    let kept: Vec<_> = split.samples.iter().map(|s| (s.path.as_str(), s.objects.len())).collect();
    let expected =
        [("images/a.png", 1), ("images/c.png", 0), ("images/e.png", 1), ("images/g.png", 0)];
    assert_eq!(kept, expected);
    let problems: Vec<_> =
        split.problems.iter().map(|p| (p.code, p.file.as_str(), p.line)).collect();
    let expected = [
        (Code::NotANumber, "labels/a.txt", Some(2)),
        (Code::PictureUnreadable, "images/b.png", None),
        (Code::PictureUnreadable, "images/d.jpg", None),
        (Code::LabelNotUtf8, "labels/f.txt", None),
    ];
    assert_eq!(problems, expected);
    assert_eq!(heard, (1..=7).map(|i| (i, 7)).collect::<Vec<_>>());
}

fn sample_jpeg() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.jpg");
    ybox_picture::save(&grey(64, 64), &path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn a_changed_or_missing_file_is_an_error_that_names_it() {
    let scanned = |set: &Drawn| scan(&set.manifest(), set.root(), "train", &OPTIONS, |_, _| {});
    for file in ["images/a.png", "labels/a.txt"] {
        let set = Drawn::new().picture("a", &grey(20, 10), "0 .5 .5 .5 .5\n");
        let path = set.root().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes.push(b' ');
        fs::write(&path, bytes).unwrap();
        let error = scanned(&set).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("{} has changed since it was hashed", path.display())
        );
        assert_eq!(error.code(), "file-changed");
        fs::remove_file(&path).unwrap();
        let error = scanned(&set).err().unwrap();
        assert!(error.to_string().starts_with(&format!("cannot read {}", path.display())));
    }
}

#[test]
fn files_that_the_manifest_does_not_list_are_not_read() {
    let set = Drawn::new().picture("a", &grey(20, 10), "0 .5 .5 .5 .5\n");
    let manifest = set.manifest();
    let set = set.picture("b", &grey(20, 10), "");
    let split = scan(&manifest, set.root(), "train", &OPTIONS, |_, _| {}).unwrap();
    assert_eq!(split.len(), 1);
}

#[test]
fn a_split_without_any_usable_picture_is_an_error_with_its_problems() {
    let set = Drawn::new().file("images/b.png", b"not a picture");
    let error = scan(&set.manifest(), set.root(), "train", &OPTIONS, |_, _| {}).err().unwrap();
    let DataError::Empty { problems, .. } = error else { panic!("{error}") };
    assert_eq!(problems.len(), 1);
    let error = scan(&set.manifest(), set.root(), "val", &OPTIONS, |_, _| {}).err().unwrap();
    assert!(matches!(error, DataError::Empty { .. }));
    assert!(sources(&set.manifest(), set.root(), "source", 64).is_err());
}

#[test]
fn pictures_are_the_same_from_memory_and_from_disk() {
    let set = data_support::patterned(4);
    let (kept, read) = (set.scan(&OPTIONS), set.scan(&ScanOptions { cache_bytes: 0, ..OPTIONS }));
    assert_eq!(kept.samples, read.samples);
    for i in 0..4 {
        assert_eq!(kept.picture(i).unwrap(), read.picture(i).unwrap());
        assert_eq!(kept.picture(i).unwrap().width().max(kept.picture(i).unwrap().height()), 64);
    }
}
