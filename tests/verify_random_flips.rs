//! Hundreds of random single-bit flips over a run folder, its data set and the stored image: each is
//! found by a deep verification and named, and untouched runs raise no alarm.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "image/fixture.rs"]
#[allow(dead_code, reason = "the tests of images use the rest")]
mod fixture;
mod run_standin;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fixture::Project;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use run_standin::{Place, files_below};
use ybox::record::verify::{Check, Report, Subject};
use ybox_spec::config::Task;

/// Of each of the three places.
const FLIPS: usize = 100;

const WEIGHTS: &str = "weights=runs/train/exp/weights/best.safetensors";

/// A place whose image was built for real, with compressed layers.
fn place() -> Place {
    let place = Place::new();
    let project = Project::new();
    fs::write(project.path("configs/yolov12n.yaml"), "model: yolov12n\nepochs: 600\n").unwrap();
    project.build().unwrap();
    fs::remove_dir_all(place.home().join("store")).unwrap();
    fs::rename(project.path("home/store"), place.home().join("store")).unwrap();
    let index = place.home().join("store/index.json");
    let named = fs::read_to_string(&index).unwrap().replace("ybox/tiny:latest", "ybox/cpu:latest");
    fs::write(index, named).unwrap();
    place
}

/// A training, and what else its weights serve for.
fn runs(place: &Place, seed: u32) -> [PathBuf; 4] {
    let train = ["data=data/data.yaml", "epochs=2", "imgsz=320", &format!("seed={seed}")];
    let run = |task, arguments: &[&str]| place.run(task, arguments).unwrap().folder;
    [
        run(Task::Train, &train),
        run(Task::Val, &["data=data/data.yaml", WEIGHTS]),
        run(Task::Predict, &[WEIGHTS, "source=data/images/val"]),
        run(Task::Export, &[WEIGHTS]),
    ]
}

fn deep(place: &Place, folder: &Path) -> Report {
    let folder = folder.to_owned();
    place.verify_as(Subject { folder, expected: None, data: None, deep: true, policy: None })
}

/// Every file below `folder` that has a bit to flip.
fn files(folder: &Path) -> Vec<PathBuf> {
    let holds_something = |path: &PathBuf| fs::metadata(path).unwrap().len() > 0;
    files_below(folder).into_iter().filter(holds_something).collect()
}

struct Flips {
    random: ChaCha8Rng,
    turn: usize,
    hit: BTreeSet<PathBuf>,
}

impl Flips {
    fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % bound as u64) as usize
    }

    /// Flips a bit of one of `files`, of each in its turn, and puts it back; the file, where in it,
    /// and what a deep verification of `folder` says.
    fn flip(
        &mut self,
        place: &Place,
        folder: &Path,
        files: &[PathBuf],
    ) -> (PathBuf, String, Report) {
        let path = files[self.turn % files.len()].clone();
        self.turn += 1;
        let before = fs::read(&path).unwrap();
        let (byte, bit) = (self.below(before.len()), self.below(8));
        let mut bytes = before.clone();
        bytes[byte] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let report = deep(place, folder);
        fs::write(&path, before).unwrap();
        self.hit.insert(path.clone());
        let at = format!("{}, byte {byte}, bit {bit}", path.display());
        (path, at, report)
    }
}

#[test]
fn every_flip_is_found_and_named() {
    let place = place();
    let folders = runs(&place, 0);
    let mut flips = Flips { random: ChaCha8Rng::seed_from_u64(4), turn: 0, hit: BTreeSet::new() };
    let mut all = BTreeSet::new();

    for i in 0..FLIPS {
        let folder = &folders[i * folders.len() / FLIPS];
        let files = files(folder);
        let (path, at, report) = flips.flip(&place, folder, &files);
        let (name, bad) = (path.strip_prefix(folder).unwrap(), report.items(Check::is_bad));
        match name.to_str().unwrap() {
            // What it says of other things is then wrong, too.
            "run.json" => assert!(bad.contains(&"run.json"), "{at}: {report:?}"),
            name => assert_eq!(bad, [name], "{at}"),
        }
        all.extend(files);
    }

    let data: Vec<_> = ["images", "labels"]
        .iter()
        .flat_map(|kind| files(&place.work().join("data").join(kind)))
        .collect();
    for _ in 0..FLIPS {
        let (path, at, report) = flips.flip(&place, &folders[0], &data);
        let name = path.strip_prefix(place.work().join("data")).unwrap().display();
        assert_eq!(report.items(Check::is_bad), [format!("data {name}")], "{at}");
    }
    all.extend(data);

    let blobs = files(&place.home().join("store/blobs"));
    assert_eq!(blobs.len(), 13, "four layers, config and manifest; three documents attached");
    for _ in 0..FLIPS {
        let (path, at, report) = flips.flip(&place, &folders[0], &blobs);
        let (digest, bad) =
            (path.file_name().unwrap().to_str().unwrap(), report.items(Check::is_bad));
        let named =
            matches!(bad[..], [item] if item.starts_with("image ") && item.contains(digest));
        assert!(named, "{at}: {bad:?}");
    }
    all.extend(blobs);

    assert_eq!(flips.hit, all, "no file was left out");
    for folder in &folders {
        assert_eq!(deep(&place, folder).items(Check::is_bad), [""; 0]);
    }
}

#[test]
fn untouched_runs_raise_no_alarm() {
    let place = place();
    for seed in 0..5 {
        for folder in runs(&place, seed) {
            for report in [place.verify(&folder), deep(&place, &folder), place.verify(&folder)] {
                assert!(report.passes(), "{}: {report:?}", folder.display());
                assert_eq!(report.items(Check::is_skipped), [""; 0], "{}", folder.display());
            }
        }
    }
}
