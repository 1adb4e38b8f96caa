//! One changed byte anywhere, and `verify` names the thing it is in.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use run_standin::Place;
use ybox::record::verify::{Check, Outcome, Report, Subject, verify};
use ybox_spec::Digest;
use ybox_spec::config::Task;
use ybox_spec::record::Record;

/// Flips a bit of the byte at `at`, which counts from the end where it is negative.
fn flip(path: &Path, at: isize) -> Vec<u8> {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    let at = if at < 0 { bytes.len().checked_add_signed(at).unwrap() } else { at as usize };
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    before
}

/// What a verification says is bad after that flip; the file is as before afterwards.
fn after_flip(place: &Place, folder: &Path, path: &Path, at: isize) -> Report {
    let before = flip(path, at);
    let report = place.verify(folder);
    fs::write(path, before).unwrap();
    report
}

fn reason<'a>(report: &'a Report, item: &str) -> String {
    let check: &'a Check = report.checks.iter().find(|c| c.item == item).unwrap();
    match &check.outcome {
        Outcome::Bad(mismatch) => mismatch.to_string(),
        other => panic!("{item}: {other:?}"),
    }
}

#[test]
fn each_file_of_the_run_folder_is_named() {
    let place = Place::new();
    let folder = place.train().folder;
    for name in [
        "config.yaml",
        "data.manifest",
        "events.jsonl",
        "results.csv",
        "steps.chain",
        "weights/best.safetensors",
        "weights/last.safetensors",
    ] {
        let path = folder.join(name);
        let size = fs::metadata(&path).unwrap().len() as isize;
        for at in [0, size / 3, size / 2, size - 2, size - 1] {
            let report = after_flip(&place, &folder, &path, at);
            assert_eq!(report.items(Check::is_bad), [name], "{name} at {at}");
        }
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(reason(&place.verify(&folder), name), "missing");
        fs::write(&path, content).unwrap();
    }
    assert!(place.verify(&folder).passes());
}

#[test]
fn an_event_is_named_by_its_line() {
    let place = Place::new();
    let folder = place.train().folder;
    let path = folder.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let count = text.lines().count();
    for (number, line) in text.lines().enumerate() {
        // Inside the event's name: it stays JSON, but may not stay a known event.
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let digit = line.find(r#""time":"#).unwrap() + 9;
        let report = after_flip(&place, &folder, &path, (start + digit) as isize);
        let reason = reason(&report, "events.jsonl");
        assert!(reason.starts_with(&format!("line {} was changed", number + 1)), "{reason}");
    }
    // Cut off at a line break: a chain that holds, but ends too soon.
    let shorter: String = text.lines().take(count - 1).map(|l| format!("{l}\n")).collect();
    fs::write(&path, shorter).unwrap();
    assert_eq!(
        reason(&place.verify(&folder), "events.jsonl"),
        format!("{} lines, where the record has {count}", count - 1)
    );
}

#[test]
fn a_step_is_named() {
    let place = Place::new();
    let folder = place.train().folder;
    let path = folder.join("steps.chain");
    let text = fs::read_to_string(&path).unwrap();
    let second = text.find('\n').unwrap() + 3;
    let report = after_flip(&place, &folder, &path, second as isize);
    assert_eq!(reason(&report, "steps.chain"), "step 2 was changed");
}

#[test]
fn a_changed_setting_is_named() {
    let place = Place::new();
    let folder = place.train().folder;
    let path = folder.join("config.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("seed: 0", "seed: 1")).unwrap();
    assert_eq!(reason(&place.verify(&folder), "config.yaml"), "seed: expected 0, found 1");
}

#[test]
fn bytes_all_over_the_record_count() {
    let place = Place::new();
    let folder = place.train().folder;
    // What lies elsewhere is not at issue here, and would take its time thousands of times.
    fs::remove_dir_all(place.work().join("data")).unwrap();
    fs::remove_dir_all(place.home().join("store/blobs")).unwrap();
    let path = folder.join("run.json");
    let size = fs::metadata(&path).unwrap().len() as isize;
    let store = place.store();
    let subject =
        Subject { folder: folder.clone(), expected: None, data: None, deep: false, policy: None };
    // One in five: all of them pass too, in five times the time.
    for at in (0..size).step_by(5).chain([size - 1]) {
        let before = flip(&path, at);
        let report = verify(&subject, &store, &place.home(), &|_, _| ());
        fs::write(&path, before).unwrap();
        assert!(report.items(Check::is_bad).contains(&"run.json"), "byte {at}: {report:?}");
    }
    assert!(place.verify(&folder).passes());
}

#[test]
fn a_record_in_another_layout_is_not_the_one_that_was_written() {
    let place = Place::new();
    let folder = place.train().folder;
    let path = folder.join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    for other in [
        text.replacen("  ", "\t", 1),
        text.trim_end().to_owned(),
        text.replacen('{', r#"{"extra": 1,"#, 1),
        text.replacen(r#""seed": 0"#, r#""seed": 0.0"#, 1),
    ] {
        assert_ne!(other, text);
        fs::write(&path, other).unwrap();
        assert_eq!(place.verify(&folder).items(Check::is_bad), ["run.json"]);
    }
}

#[test]
fn pictures_and_labels_are_named() {
    let place = Place::new();
    let folder = place.train().folder;
    let data = place.work().join("data");
    for name in ["labels/val/3.txt", "labels/train/1.txt", "images/val/3.jpg"] {
        let item = format!("data {name}");
        let report = after_flip(&place, &folder, &data.join(name), 2);
        assert_eq!(report.items(Check::is_bad), [item.as_str()]);
        assert!(reason(&report, &item).starts_with("expected sha256:"));
    }
    fs::remove_file(data.join("images/train/2.jpg")).unwrap();
    assert_eq!(reason(&place.verify(&folder), "data images/train/2.jpg"), "missing");
}

#[test]
fn a_data_file_changed_behind_its_times_is_found_too() {
    let place = Place::new();
    let folder = place.train().folder;
    let label = place.work().join("data/labels/val/3.txt");
    // Long unchanged files are remembered...
    std::thread::sleep(Duration::from_millis(4100));
    assert!(place.verify(&folder).passes());
    let remembered = place.home().join("manifests");
    assert_eq!(fs::read_dir(remembered).unwrap().count(), 2, "of the data and of the store");
    // ...but the kernel tells of this change, whatever the modification time says.
    let times = fs::metadata(&label).unwrap().modified().unwrap();
    flip(&label, 2);
    fs::File::options().write(true).open(&label).unwrap().set_modified(times).unwrap();
    assert_eq!(place.verify(&folder).items(Check::is_bad), ["data labels/val/3.txt"]);
}

#[test]
fn deep_does_not_believe_what_is_remembered() {
    let place = Place::new();
    let folder = place.train().folder;
    std::thread::sleep(Duration::from_millis(4100));
    assert!(place.verify(&folder).passes());
    // A wrong memory, as no honest run would leave it.
    let label = place.work().join("data/labels/val/3.txt");
    let [from, to] = [Digest::of_file(&label).unwrap().0.hex(), Digest::of(b"").hex()];
    for memory in fs::read_dir(place.home().join("manifests")).unwrap() {
        let memory = memory.unwrap().path();
        let text = fs::read_to_string(&memory).unwrap();
        fs::write(&memory, text.replace(&from, &to)).unwrap();
    }
    assert_eq!(place.verify(&folder).items(Check::is_bad), ["data labels/val/3.txt"]);
    let deep = Subject { folder, expected: None, data: None, deep: true, policy: None };
    assert!(place.verify_as(deep).passes());
}

#[test]
fn an_image_is_read_again_when_touched_or_by_a_deep_look() {
    let place = Place::new();
    let folder = place.train().folder;
    let bad = |deep| {
        let subject =
            Subject { folder: folder.clone(), expected: None, data: None, deep, policy: None };
        place.verify_as(subject).items(Check::is_bad).len()
    };
    std::thread::sleep(Duration::from_millis(4100));
    assert_eq!(bad(false), 0);
    let blobs = fs::read_dir(place.home().join("store/blobs/sha256")).unwrap();
    let blob = blobs.map(|entry| entry.unwrap().path()).next().unwrap();
    let before = stamp(&blob);
    flip(&blob, -3);
    assert_eq!(bad(false), 1);
    // As if the change had left no trace in the file system.
    for memory in fs::read_dir(place.home().join("manifests")).unwrap() {
        let memory = memory.unwrap().path();
        let text = fs::read_to_string(&memory).unwrap();
        fs::write(&memory, text.replace(&before, &stamp(&blob))).unwrap();
    }
    assert_eq!((bad(false), bad(true)), (0, 1));
}

/// Size, inode and times of a file, as a memory has them.
fn stamp(path: &Path) -> String {
    let m = fs::metadata(path).unwrap();
    let (size, inode) = (m.len(), m.ino());
    format!("{size} {inode} {} {} {} {}", m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
}

#[test]
fn each_blob_of_the_image_is_named() {
    let place = Place::new();
    let finished = place.train();
    let blobs = place.home().join("store/blobs/sha256");
    for entry in fs::read_dir(blobs).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let digest = path.file_name().unwrap().to_str().unwrap().to_owned();
        let report = after_flip(&place, &finished.folder, &path, -3);
        let bad = report.items(Check::is_bad);
        assert!(
            matches!(bad[..], [item] if item.starts_with("image ") && item.contains(&digest)),
            "{bad:?}"
        );
    }
    assert!(place.verify(&finished.folder).passes());
}

#[test]
fn results_that_nobody_recorded_are_named() {
    let place = Place::new();
    let folder = place.train().folder;
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert!(place.verify(&folder).passes());
    fs::write(folder.join("weights/other.safetensors"), "x").unwrap();
    assert_eq!(reason(&place.verify(&folder), "weights/other.safetensors"), "not in the record");
}

#[test]
fn a_forged_record_is_consistent_but_another_run() {
    let place = Place::new();
    let finished = place.train();
    let folder = finished.folder;
    let weights = folder.join("weights/best.safetensors");
    flip(&weights, -1);
    let mut record: Record =
        serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    let (digest, _) = Digest::of_file(&weights).unwrap();
    record.outputs.artifacts[2].sha256 = digest;
    fs::write(folder.join("run.json"), record.seal().to_json()).unwrap();
    assert!(place.verify(&folder).passes());
    let meant = Subject {
        folder,
        expected: Some(finished.record.run_hash),
        data: None,
        deep: false,
        policy: None,
    };
    assert_eq!(place.verify_as(meant).items(Check::is_bad), ["run hash given"]);
}

#[test]
fn a_record_is_not_trusted_to_name_files_elsewhere() {
    let place = Place::new();
    let folder = place.train().folder;
    fs::write(place.work().join("secret"), "x").unwrap();
    let mut record: Record =
        serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    record.outputs.artifacts[2].path = "../../../secret".into();
    fs::write(folder.join("run.json"), record.seal().to_json()).unwrap();
    let report = place.verify(&folder);
    assert_eq!(reason(&report, "../../../secret"), "its path leaves the run folder");
}

#[test]
fn outputs_of_val_and_predict_are_named() {
    let place = Place::new();
    place.train();
    let weights = "weights=runs/train/exp/weights/best.safetensors";
    let val = place.run(Task::Val, &["data=data/data.yaml", weights]).unwrap().folder;
    let report = after_flip(&place, &val, &val.join("metrics.json"), 30);
    assert_eq!(report.items(Check::is_bad), ["metrics.json"]);
    let predict = place.run(Task::Predict, &[weights, "source=data/images/val"]).unwrap().folder;
    for name in ["3.jpg", "labels/3.txt"] {
        let report = after_flip(&place, &predict, &predict.join(name), 0);
        assert_eq!(report.items(Check::is_bad), [name]);
    }
}
