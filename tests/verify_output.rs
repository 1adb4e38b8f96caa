//! What `ybox verify`, `ybox runs` and the refusals of `ybox run` print, and their exit statuses.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::process::Output;

use run_standin::{Mood, Place, settings};
use ybox_spec::config::Task;

fn ybox(place: &Place, arguments: &[&str]) -> Output {
    assert_cmd::Command::cargo_bin("ybox")
        .unwrap()
        .current_dir(place.work())
        .env_remove("YBOX_PROJECT")
        .env("YBOX_HOME", place.home())
        .args(arguments)
        .output()
        .unwrap()
}

/// Exit status, standard output and standard error, as a person would read them.
fn told(place: &Place, arguments: &[&str]) -> String {
    let output = ybox(place, arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "$ ybox {}\n{}{}exit {}\n\n",
        arguments.join(" "),
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap()
    )
}

#[test]
fn verify_says_what_holds_what_does_not_and_what_it_could_not_see() {
    let place = Place::new();
    let finished = place.train();
    let hash = finished.record.run_hash;
    let prefix = &hash.hex()[..8];
    let mut text = told(&place, &["verify", "runs/train/exp"]);
    text += &told(&place, &["verify", prefix, "--hash", &hash.to_string(), "--deep"]);
    let other = "0".repeat(64);
    text += &told(&place, &["verify", "runs/train/exp", "--hash", &other]);

    let weights = finished.folder.join("weights/best.safetensors");
    let content = fs::read(&weights).unwrap();
    fs::write(&weights, "other").unwrap();
    fs::write(place.work().join("data/labels/train/1.txt"), "").unwrap();
    text += &told(&place, &["verify", "runs/train/exp"]);
    text += &told(&place, &["verify", "runs/train/exp", "--json"]);

    fs::write(&weights, content).unwrap();
    fs::rename(place.work().join("data"), place.work().join("moved")).unwrap();
    fs::remove_dir_all(place.home().join("store")).unwrap();
    text += &told(&place, &["verify", "runs/train/exp"]);
    fs::write(place.work().join("moved/labels/train/1.txt"), "0 0.5 0.5 0.2 0.2\n").unwrap();
    text += &told(&place, &["verify", "runs/train/exp", "--data", "moved/data.yaml"]);
    text += &told(&place, &["verify", "runs/train/exp", "--data", "moved"]);

    text += &told(&place, &["verify", "runs/train/none"]);
    text += &told(&place, &["verify", "abcdef12"]);
    text += &told(&place, &["verify", "runs/train/exp", "--hash", "abc"]);
    let mut settings = settings();
    settings.add_filter(&format!("verify {prefix} --hash"), "verify [prefix] --hash");
    settings.bind(|| insta::assert_snapshot!("verify", text));
}

#[test]
fn runs_are_listed_with_how_they_ended() {
    let mut place = Place::new();
    assert_eq!(
        told(&place, &["runs"]).lines().nth(1).unwrap(),
        "task  name  status  model  epochs  mAP50-95  run  started"
    );
    place.train();
    place.stand_in.mood = Mood::Stopped(1);
    place.train();
    place.stand_in.mood = Mood::Fails;
    let data = ["data=data/data.yaml", "epochs=2"];
    place.run(Task::Train, &data).unwrap_err();
    place.stand_in = run_standin::StandIn::default();
    let weights = "weights=runs/train/exp/weights/best.safetensors";
    place.run(Task::Val, &["data=data/data.yaml", weights]).unwrap();
    fs::create_dir_all(place.work().join("runs/train/notes")).unwrap();

    let mut text = told(&place, &["runs"]);
    text += &told(&place, &["runs", "--json"]);
    let mut settings = settings();
    settings.add_filter(r"  [0-9a-f]{12}  ", "  [12 digits]  ");
    settings.bind(|| insta::assert_snapshot!("runs", text));
}

#[test]
fn a_run_is_refused_with_what_to_do_next() {
    let place = Place::new();
    let data = "data=data/data.yaml";
    let mut text = String::new();
    for arguments in [
        vec!["run", "train", "epoch=3"],
        vec!["run", "train", data, "amp=fp16"],
        vec!["run", "train", data, "amp=half"],
        vec!["run", "train", data, "epochs=many"],
        vec!["run", "train", data, "--image", "ybox/other"],
        vec!["run", "tune", data],
    ] {
        text += &told(&place, &arguments);
    }
    fs::remove_dir_all(place.home().join("store")).unwrap();
    text += &told(&place, &["run", "train", data]);
    settings().bind(|| insta::assert_snapshot!("run_refusals", text));
}
