//! A second implementation of the hash rules, `check-run-hash.sh` (bash, jq and sha256sum), agrees
//! with ours.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use run_standin::{Mood, Place};
use serde_json::{Value, json};
use ybox_spec::canonical;
use ybox_spec::config::Task;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check-run-hash.sh")
}

fn check(folder: &Path) -> Output {
    let output = Command::new(script()).arg(folder).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn assert_agrees(folder: &Path, run_hash: &str) {
    let output = check(folder);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.lines().last().unwrap(), run_hash);
}

#[test]
fn runs_of_every_task_check() {
    let mut place = Place::new();
    let weights = "weights=runs/train/exp/weights/best.safetensors";
    for (mood, task, arguments) in [
        (
            Mood::Dutiful,
            Task::Train,
            vec![
                "data=data/data.yaml",
                "epochs=3",
                "lr0=0.30000000000000004",
                "weight_decay=4.35e-10",
            ],
        ),
        (Mood::Stopped(2), Task::Train, vec!["data=data/data.yaml", "epochs=3"]),
        (Mood::OutOfTime(1), Task::Train, vec!["data=data/data.yaml", "time=0.1"]),
        (Mood::Dutiful, Task::Val, vec!["data=data/data.yaml", weights]),
        (Mood::Dutiful, Task::Predict, vec!["source=data/images/train", weights]),
    ] {
        place.stand_in = run_standin::StandIn { mood, ..Default::default() };
        let finished = place.run(task, &arguments).unwrap();
        assert_agrees(&finished.folder, &finished.record.run_hash.to_string());
    }
}

#[test]
fn a_changed_run_does_not() {
    let place = Place::new();
    let folder = place.train().folder;
    for (file, from, to) in [
        ("results.csv", "epoch", "epocH"),
        ("config.yaml", "seed: 0", "seed: 1"),
        ("data.manifest", "labels", "labelz"),
        ("steps.chain", "1 ", "3 "),
        ("events.jsonl", "area", "arena"),
        ("run.json", r#""seed": 0"#, r#""seed": 1"#),
        ("run.json", "stand-in", "stand-out"),
    ] {
        let path = folder.join(file);
        let before = fs::read_to_string(&path).unwrap();
        let changed = before.replacen(from, to, 1);
        assert_ne!(changed, before, "{file}");
        fs::write(&path, changed).unwrap();
        let output = check(&folder);
        assert_eq!(output.status.code(), Some(1), "{file}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("BAD  "));
        fs::write(&path, before).unwrap();
    }
    assert!(check(&folder).status.success());
}

fn by_jq(value: &Value) -> Vec<u8> {
    let mut child = Command::new(script())
        .arg("--canonical")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = value.to_string();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn numbers_and_texts_are_written_alike() {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut numbers = vec![0.0, 1e21, 1e-7, 5e-324, f64::MAX, 123_456_789.125];
    for _ in 0..1000 {
        numbers.push(f64::from_bits(random.next_u64()));
        // Settings as people write them: few digits, around one.
        let digits = f64::from(random.next_u32() % 100_000);
        numbers.push(digits * 10_f64.powi((random.next_u32() % 30) as i32 - 20));
    }
    numbers.retain(|number| number.is_finite());
    let texts =
        ["", "é", "\u{1F600}", "a\"\\/b", "\u{7f}", "\u{1}\t\n\r\u{8}\u{c}\u{1f}", "\u{2028}"];
    let value = json!({"numbers": numbers, "texts": texts, "b": {"z": null, "a": [true]}});
    let (ours, theirs) = (canonical::to_bytes(&value), by_jq(&value));
    assert_eq!(String::from_utf8(theirs).unwrap(), String::from_utf8(ours).unwrap());
}
