//! The main job with nothing stood in for: the built image, the real trainer, real engines. Needs
//! `ybox build cpu` to have run; without it the tests say so and pass, unless
//! `YBOX_TEST_REQUIRE_IMAGE` is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

fn ybox(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ybox"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("ybox starts")
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = ybox(folder, arguments);
    assert!(
        output.status.success(),
        "ybox {arguments:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("ybox prints UTF-8")
}

/// Whether the image is there to test with.
fn image_is_built() -> bool {
    let images: Value = serde_json::from_str(&ok(Path::new("."), &["images", "--json"]))
        .expect("`images --json` prints JSON");
    let there = images.to_string().contains("ybox/cpu");
    assert!(
        there || std::env::var_os("YBOX_TEST_REQUIRE_IMAGE").is_none(),
        "YBOX_TEST_REQUIRE_IMAGE is set, but ybox/cpu is not built"
    );
    if !there {
        println!("skipped: ybox/cpu is not built");
    }
    there
}

fn engines() -> Vec<&'static str> {
    let docker = Command::new("docker").arg("version").output();
    let there = docker.is_ok_and(|o| o.status.success());
    assert!(
        there || std::env::var_os("YBOX_TEST_REQUIRE_DOCKER").is_none(),
        "YBOX_TEST_REQUIRE_DOCKER is set, but no Docker engine answers"
    );
    if there {
        vec!["docker", "embedded"]
    } else {
        println!("docker not tested: no engine answers");
        vec!["embedded"]
    }
}

fn record(run: &Path) -> Value {
    let text = fs::read_to_string(run.join("run.json")).expect("a finished run has a record");
    serde_json::from_str(&text).expect("a record is JSON")
}

/// A folder with a small drawn data set.
fn with_shapes() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    ok(dir.path(), &["data", "synth", "shapes", "--train", "20", "--val", "6", "--size", "96"]);
    let path = dir.path().to_owned();
    (dir, path)
}

const TRAIN: [&str; 7] =
    ["run", "train", "model=yolov12n", "data=shapes/data.yaml", "imgsz=64", "batch=8", "epochs=2"];

#[test]
fn the_result_does_not_depend_on_workers_or_engine() {
    if !image_is_built() {
        return;
    }
    let (_dir, folder) = with_shapes();
    let mut hashes = Vec::new();
    for engine in engines() {
        for workers in ["1", "2", "4"] {
            let name = format!("{engine}-{workers}");
            let (workers, named) = (format!("workers={workers}"), format!("name={name}"));
            let arguments = [&TRAIN[..], &[&workers, &named, "--engine", engine]].concat();
            ok(&folder, &arguments);
            let run = record(&folder.join("runs/train").join(name));
            hashes.push((run["input_hash"].clone(), run["result_hash"].clone()));
        }
    }
    assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:#?}");
}

#[test]
fn a_run_verifies_validates_to_the_same_digits_and_predicts() {
    if !image_is_built() {
        return;
    }
    let (_dir, folder) = with_shapes();
    ok(&folder, &TRAIN);
    ok(&folder, &["verify", "runs/train/exp", "--deep"]);

    let csv = fs::read_to_string(folder.join("runs/train/exp/results.csv")).expect("results.csv");
    let column = |name: &str| {
        let index = csv.lines().next().and_then(|h| h.split(',').position(|c| c == name));
        let last = csv.lines().last().expect("a row");
        last.split(',').nth(index.expect("the column")).expect("a cell").to_owned()
    };
    let weights = "weights=runs/train/exp/weights/last.safetensors";
    ok(&folder, &["run", "val", weights, "data=shapes/data.yaml"]);
    let metrics = fs::read_to_string(folder.join("runs/val/exp/metrics.json")).expect("metrics");
    let metrics: Value = serde_json::from_str(&metrics).expect("metrics.json is JSON");
    for (key, name) in [("map50", "metrics/mAP50(B)"), ("map50-95", "metrics/mAP50-95(B)")] {
        let validated = metrics[key].as_f64().expect("a number");
        assert_eq!(validated, column(name).parse::<f64>().expect("a number"), "{key}");
    }
    ok(&folder, &["verify", "runs/val/exp"]);

    ok(&folder, &["run", "predict", weights, "source=shapes/images/val", "conf=0.01"]);
    let pictures = fs::read_dir(folder.join("runs/predict/exp"))
        .expect("a run folder")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| ybox_spec::dataset::is_image(Path::new(name)))
        .count();
    assert_eq!(pictures, 6);
    ok(&folder, &["verify", "runs/predict/exp"]);
}

#[test]
fn a_changed_label_is_named() {
    if !image_is_built() {
        return;
    }
    let (_dir, folder) = with_shapes();
    ok(&folder, &TRAIN);
    let label = folder.join("shapes/labels/train/00003.txt");
    let mut text = fs::read(&label).expect("a label");
    text[0] ^= 1;
    fs::write(&label, text).expect("a label");
    let output = ybox(&folder, &["verify", "runs/train/exp"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("labels/train/00003.txt"), "{said}");
}

/// Starts a training and kills it once it has kept a checkpoint.
fn killed(folder: &Path, arguments: &[&str], run: &Path) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ybox"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ybox starts");
    let kept =
        || fs::read_dir(run.join("checkpoint")).is_ok_and(|mut files| files.next().is_some());
    while !kept() && child.try_wait().expect("a child").is_none() {
        sleep(Duration::from_millis(20));
    }
    // Twice: the first one asks, the second one kills.
    for _ in 0..2 {
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        sleep(Duration::from_millis(30));
    }
    child.wait().expect("it ends");
}

#[test]
fn a_killed_training_goes_on_as_the_same_run_and_replays() {
    if !image_is_built() {
        return;
    }
    let (_dir, folder) = with_shapes();
    ok(&folder, &[&TRAIN[..], &["name=whole"]].concat());
    let whole = record(&folder.join("runs/train/whole"));
    for engine in engines() {
        let run = format!("runs/train/{engine}");
        let named = format!("name={engine}");
        let start = [&TRAIN[..], &[&named, "checkpoint_every=1", "--engine", engine]].concat();
        killed(&folder, &start, &folder.join(&run));
        ok(&folder, &["run", "train", &format!("resume={run}"), "--engine", engine]);
        assert_eq!(record(&folder.join(&run))["run_hash"], whole["run_hash"], "{engine}");
        ok(&folder, &["verify", &run]);

        let first = ok(&folder, &["replay", &run, "--engine", engine]);
        assert!(first.starts_with("IDENTICAL, bit for bit: the first "), "{first}");
        let rest = ok(&folder, &["replay", &run, "--from-checkpoint", "--engine", engine]);
        assert!(rest.ends_with(" and the results\n"), "{rest}");
    }
}
