//! A run across an air gap, with the image that it ran in.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use ybox_spec::Digest;
use ybox_spec::config::Task;

use super::cosign::{output, ybox};
use super::run_standin::Place;

pub type Members = Vec<(String, Vec<u8>)>;

const FILES: [&str; 4] = ["report.html", "run.json", "results.csv", "weights/best.safetensors"];

/// A run in `work/runs/train/exp`, and the file that carries it.
fn exported() -> (Place, Vec<u8>) {
    let place = Place::new();
    place.run(Task::Train, &["data=data/data.yaml", "epochs=2"]).unwrap();
    output(here(&place, &["export", "runs/train/exp", "run.tar"]));
    let bytes = fs::read(place.work().join("run.tar")).unwrap();
    (place, bytes)
}

/// Runs ybox in the working directory of the place, with its home.
fn here(place: &Place, arguments: &[&str]) -> std::process::Output {
    let home = place.home();
    ybox(&place.work(), &[arguments, &["--home", home.to_str().unwrap()]].concat())
}

/// Imports `archive` in the empty folder `dir`: the run folder, or what was said, and then nothing
/// is to be seen of it.
fn imported(dir: &Path, archive: &[u8]) -> Result<String, String> {
    fs::write(dir.join("run.tar"), archive).unwrap();
    let import = ybox(dir, &["import", "run.tar"]);
    if import.status.success() {
        return Ok(output(import).trim_end().to_owned());
    }
    assert_eq!(output(ybox(dir, &["images", "--json"])), "[]\n");
    assert_eq!(output(ybox(dir, &["runs", "--json"])), "[]\n");
    let pulled = fs::read_dir(dir.join("runs/pulled")).into_iter().flatten();
    let left: Vec<_> = pulled.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == ".lock"), "{left:?}");
    Err(String::from_utf8(import.stderr).unwrap())
}

pub fn members(archive: &[u8]) -> Members {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

pub fn packed(members: &Members) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in members.iter().filter(|(path, _)| !path.ends_with('/')) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The archive with another member of that name.
pub fn with(archive: &[u8], name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut members = members(archive);
    change(&mut members.iter_mut().find(|(path, _)| path == name).unwrap().1);
    packed(&members)
}

/// The archive with another document of that name.
pub fn with_json(archive: &[u8], name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    with(archive, name, |bytes| {
        let mut document: Value = serde_json::from_slice(bytes).unwrap();
        change(&mut document);
        *bytes = serde_json::to_vec(&document).unwrap();
    })
}

/// The archive with another list of the run's files.
fn listing(archive: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    with_json(archive, "ybox.json", |list| change(list["run"].as_array_mut().unwrap()))
}

#[test]
fn what_arrives_verifies_as_before() {
    let (place, archive) = exported();
    let before = output(here(&place, &["verify", "runs/train/exp", "--deep"]));
    let data = place.work().join("data");
    let dir = tempfile::tempdir().unwrap();
    let folder = imported(dir.path(), &archive).unwrap();
    assert!(folder.starts_with("runs/pulled/"), "{folder}");
    // A folder that is damaged gives way to what is imported again.
    fs::write(dir.path().join(&folder).join("results.csv"), "other").unwrap();
    assert_eq!(imported(dir.path(), &archive).unwrap(), folder);
    let verify = ["verify", &folder, "--deep", "--data", data.to_str().unwrap()];
    let after = output(ybox(dir.path(), &verify));
    assert_eq!(after.lines().last(), before.lines().last());
    assert_eq!(after.lines().count(), before.lines().count(), "{after}");
    for file in FILES {
        let there = fs::read(dir.path().join(&folder).join(file)).unwrap();
        assert!(
            there == fs::read(place.work().join("runs/train/exp").join(file)).unwrap(),
            "{file}"
        );
    }
    // By its hash, and from where it came to: the same file.
    let hash = &folder["runs/pulled/".len()..];
    output(here(&place, &["export", hash, "again.tar"]));
    assert!(fs::read(place.work().join("again.tar")).unwrap() == archive);
    output(ybox(dir.path(), &["export", &folder, "on.tar"]));
    let again = imported(tempfile::tempdir().unwrap().path(), &packed(&members(&archive)));
    assert_eq!(again.unwrap(), folder);
}

#[test]
fn digits_of_two_runs_are_said_to_be_so_and_not_looked_for_among_images() {
    let (place, _) = exported();
    let runs: Value = serde_json::from_str(&output(here(&place, &["runs", "--json"]))).unwrap();
    let hash = runs[0]["run_hash"].as_str().unwrap();
    let from = place.work().join("runs/train/exp");
    let paths = [from.clone(), from.with_file_name("again")];
    let copied = std::process::Command::new("cp").arg("-r").args(paths).status();
    assert!(copied.unwrap().success());
    for verb in [&["export", hash, "x.tar"][..], &["provenance", hash]] {
        let refused = here(&place, verb);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("begins the hashes of 2 runs"), "{said}");
    }
}

#[test]
fn a_run_that_is_not_what_its_record_says_is_refused() {
    let (_place, archive) = exported();
    let size =
        |bytes: &[u8]| json!({"path": "more", "sha256": Digest::of(bytes), "size": bytes.len()});
    let find = |files: &mut Vec<Value>, path: &str| {
        files.iter().position(|file| file["path"] == path).unwrap()
    };
    let refused = |archive: &[u8], said: &str| {
        let error = imported(tempfile::tempdir().unwrap().path(), archive).unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
    };
    let outside = listing(&archive, |files| {
        let at = find(files, "results.csv");
        files[at]["path"] = json!("../../results.csv");
    });
    refused(&outside, "the path `../../results.csv` leaves the run folder");
    let less = listing(&archive, |files| {
        let at = find(files, "results.csv");
        files.remove(at);
    });
    refused(&less, "the run has no file results.csv");
    let twice = listing(&archive, |files| files.push(files[0].clone()));
    refused(&twice, "twice");
    let absent = listing(&archive, |files| files.push(size(b"nowhere")));
    refused(&absent, "it lacks the run's more");
    let longer = listing(&archive, |files| files[0]["size"] = json!(1));
    refused(&longer, "is not what the run's record says");
    let exchanged = listing(&archive, |files| {
        let (one, other) = (find(files, "results.csv"), find(files, "run.json"));
        let (one, other) = (files[one].clone(), &mut files[other]);
        other["sha256"] = one["sha256"].clone();
        other["size"] = one["size"].clone();
    });
    refused(&exchanged, "run.json is damaged");
}

#[test]
fn a_run_of_another_image_is_refused() {
    let (_place, archive) = exported();
    let other = Place::new();
    let image = other.root.join("other");
    super::run_standin::image(&image, "ybox/other:latest", "epochs: 1\n");
    let home = image.to_str().unwrap();
    output(ybox(&other.work(), &["export", "ybox/other", "other.tar", "--home", home]));
    let carrying = members(&archive);
    let list: Value =
        serde_json::from_slice(&carrying.iter().find(|(path, _)| path == "ybox.json").unwrap().1)
            .unwrap();
    let mut mixed = members(&fs::read(other.work().join("other.tar")).unwrap());
    for (path, bytes) in &carrying {
        if path.starts_with("blobs/sha256/") && mixed.iter().all(|(there, _)| there != path) {
            mixed.push((path.clone(), bytes.clone()));
        }
    }
    let (_, changed) = mixed.iter_mut().find(|(path, _)| path == "ybox.json").unwrap();
    let mut document: Value = serde_json::from_slice(changed).unwrap();
    document["run"] = list["run"].clone();
    *changed = serde_json::to_vec(&document).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = imported(dir.path(), &packed(&mixed)).unwrap_err();
    assert!(error.contains("ran in another image"), "{error}");
}

#[test]
fn the_policy_and_every_changed_byte_count() {
    let (place, archive) = exported();
    let exported = place.work().join("runs/train/exp");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("trust.yaml"), "rules: []\n").unwrap();
    fs::write(dir.path().join("run.tar"), &archive).unwrap();
    let refused = ybox(dir.path(), &["import", "run.tar", "--trust", "trust.yaml"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("not trusted"), "{said}");
    assert!(!dir.path().join("runs").exists());
    for step in 1..8 {
        let mut changed = archive.clone();
        let at = changed.len() * step / 8;
        changed[at] ^= 4;
        let dir = tempfile::tempdir().unwrap();
        // A byte of padding may change nothing.
        let _ = imported(dir.path(), &changed).map(|folder| {
            let folder = dir.path().join(folder);
            for file in FILES {
                let there = fs::read(folder.join(file)).unwrap();
                assert!(there == fs::read(exported.join(file)).unwrap(), "{file}, byte {at}");
            }
        });
    }
}
