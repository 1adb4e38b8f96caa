//! What `ybox verify`, `ybox runs` and the refusals of `ybox run` print, and their exit statuses.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;

use run_standin::{Mood, Place, settings};
use ybox_spec::config::Task;

#[test]
fn verify_says_what_holds_what_does_not_and_what_it_could_not_see() {
    let place = Place::new();
    let finished = place.train();
    let hash = finished.record.run_hash;
    let prefix = &hash.hex()[..8];
    let mut text = place.told(&["verify", "runs/train/exp"]);
    text += &place.told(&["verify", prefix, "--hash", &hash.to_string(), "--deep"]);
    let other = "0".repeat(64);
    text += &place.told(&["verify", "runs/train/exp", "--hash", &other]);

    let weights = finished.folder.join("weights/best.safetensors");
    let content = fs::read(&weights).unwrap();
    fs::write(&weights, "other").unwrap();
    fs::write(place.work().join("data/labels/train/1.txt"), "").unwrap();
    text += &place.told(&["verify", "runs/train/exp"]);
    text += &place.told(&["verify", "runs/train/exp", "--json"]);

    fs::write(&weights, content).unwrap();
    fs::rename(place.work().join("data"), place.work().join("moved")).unwrap();
    fs::remove_dir_all(place.home().join("store")).unwrap();
    text += &place.told(&["verify", "runs/train/exp"]);
    fs::write(place.work().join("moved/labels/train/1.txt"), "0 0.5 0.5 0.2 0.2\n").unwrap();
    text += &place.told(&["verify", "runs/train/exp", "--data", "moved/data.yaml"]);
    text += &place.told(&["verify", "runs/train/exp", "--data", "moved"]);

    text += &place.told(&["verify", "runs/train/none"]);
    text += &place.told(&["verify", "abcdef12"]);
    text += &place.told(&["verify", "runs/train/exp", "--hash", "abc"]);
    let mut settings = settings();
    settings.add_filter(&format!("verify {prefix} --hash"), "verify [prefix] --hash");
    settings.bind(|| insta::assert_snapshot!("verify", text));
}

#[test]
fn runs_are_listed_with_how_they_ended() {
    let mut place = Place::new();
    assert_eq!(
        place.told(&["runs"]).lines().nth(1).unwrap(),
        "task  name  status  model  epochs  mAP50-95  run  started"
    );
    place.train();
    place.stand_in.mood = Mood::Stopped(1);
    place.train();
    place.stand_in.mood = Mood::OutOfTime(1);
    place.train();
    place.stand_in.mood = Mood::Fails;
    let data = ["data=data/data.yaml", "epochs=2"];
    place.run(Task::Train, &data).unwrap_err();
    place.stand_in = run_standin::StandIn::default();
    let weights = "weights=runs/train/exp/weights/best.safetensors";
    place.run(Task::Val, &["data=data/data.yaml", weights]).unwrap();
    fs::create_dir_all(place.work().join("runs/train/notes")).unwrap();

    let mut text = place.told(&["runs"]);
    text += &place.told(&["runs", "--json"]);
    let mut settings = settings();
    settings.add_filter(r"  [0-9a-f]{12}  ", "  [12 digits]  ");
    settings.add_filter(r"runs, [0-9.]+ k?B on disk", "runs, [size] on disk");
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
        text += &place.told(&arguments);
    }
    fs::remove_dir_all(place.home().join("store")).unwrap();
    text += &place.told(&["run", "train", data]);
    settings().bind(|| insta::assert_snapshot!("run_refusals", text));
}
