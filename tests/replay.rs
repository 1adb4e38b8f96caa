//! `ybox replay`: an untouched run is identical, and what was changed is named as the cause.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;

use run_standin::{Mood, Place};
use serde_json::json;
use ybox::diff::Cause;
use ybox::record::{find_folder, list_runs};
use ybox::replay::{Extent, Outcome, Verdict};
use ybox::ui;
use ybox_spec::config::Task;

const SETTINGS: [&str; 4] = ["data=data/data.yaml", "epochs=4", "imgsz=320", "numerics=fast"];

fn trained() -> Place {
    let place = Place::new();
    place.run(Task::Train, &SETTINGS).unwrap();
    place
}

fn replay(place: &Place, changes: &[&str]) -> Verdict {
    place.replay(changes, Extent::Epochs(2), false).unwrap()
}

#[track_caller]
fn differs(verdict: &Verdict, step: u64, cause: Cause, items: &[&str]) {
    assert_eq!(verdict.outcome, Outcome::Differs);
    assert_eq!(verdict.first_step.as_ref().unwrap().step, step);
    let likely = verdict.likely_cause.as_ref().unwrap();
    assert_eq!(likely.cause, cause);
    assert_eq!(likely.items, items);
}

#[test]
fn an_untouched_run_is_identical() {
    let place = trained();
    let verdict = replay(&place, &["workers=5"]);
    assert_eq!((verdict.outcome, verdict.steps, verdict.of), (Outcome::Identical, 4, 8));
    assert_eq!(ui::replay(&verdict), "IDENTICAL, bit for bit: the first 4 of 8 steps\n");
    let verdict = place.replay(&[], Extent::Steps(2), false).unwrap();
    assert_eq!((verdict.outcome, verdict.steps), (Outcome::Identical, 2));
    let verdict = place.replay(&[], Extent::Full, false).unwrap();
    assert_eq!(ui::replay(&verdict), "IDENTICAL, bit for bit: all 8 steps and the results\n");
    assert!(place.work().join("runs/replay/exp3/run.json").exists());
}

#[test]
fn what_was_changed_is_the_cause() {
    let place = trained();
    differs(&replay(&place, &["lr0=0.02"]), 1, Cause::Config, &["lr0"]);
    differs(&replay(&place, &["attention=safe"]), 1, Cause::Attention, &["attention"]);
    let picture = place.work().join("data/images/train/1.jpg");
    fs::write(&picture, "picture !").unwrap();
    let verdict = replay(&place, &[]);
    differs(&verdict, 1, Cause::Data, &["images/train/1.jpg"]);
    let text = ui::replay(&verdict);
    assert!(text.starts_with("first difference at step 1\n"), "{text}");
    assert!(text.contains("most likely cause: data (images/train/1.jpg)\n"), "{text}");
    assert!(text.ends_with("DIFFERENT; compared were the first 4 of 8 steps\n"), "{text}");
}

fn host(cpu: &str) -> serde_json::Value {
    json!({ "cpu": { "vendor": "x", "model": cpu } })
}

#[test]
fn other_hardware_under_fast_numerics_is_compared_within_a_tolerance() {
    let mut place = Place::new();
    place.host = host("AMD EPYC 7B13");
    place.run(Task::Train, &SETTINGS).unwrap();
    place.stand_in.drift = Some(2);
    let verdict = replay(&place, &[]);
    differs(&verdict, 3, Cause::Unknown, &[]);
    place.host = host("Intel(R) Xeon(R) Platinum 8481C");
    let verdict = replay(&place, &[]);
    assert_eq!(verdict.outcome, Outcome::WithinTolerance);
    assert_eq!(verdict.likely_cause.as_ref().unwrap().cause, Cause::Hardware);
    let text = ui::replay(&verdict);
    assert!(text.contains("WITHIN TOLERANCE: the first 4 of 8 steps; other hardware"), "{text}");
}

#[test]
fn a_record_alone_and_the_data_are_enough() {
    let place = trained();
    let folder = place.work().join("runs/train/exp");
    let record = fs::read(folder.join("run.json")).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("run.json"), record).unwrap();
    let verdict = place.replay(&[], Extent::Full, false).unwrap();
    assert_eq!((verdict.outcome, verdict.steps), (Outcome::Identical, 8));
    let partly = place.replay(&[], Extent::Epochs(1), false).unwrap_err();
    assert!(partly.to_string().contains("it has no steps.chain"), "{partly}");
}

#[test]
fn a_run_that_died_is_replayed_as_far_as_it_went() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Dies(3);
    place.run(Task::Train, &SETTINGS).unwrap_err();
    place.stand_in.mood = Mood::Dutiful;
    let verdict = place.replay(&[], Extent::Epochs(4), false).unwrap();
    assert_eq!((verdict.outcome, verdict.steps, verdict.of), (Outcome::Identical, 6, 6));
    let verdict = place.replay(&[], Extent::Full, false).unwrap();
    assert_eq!((verdict.outcome, verdict.steps, verdict.results), (Outcome::Identical, 6, false));
}

#[test]
fn a_run_whose_time_was_spent_is_replayed_without_a_limit() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::OutOfTime(3);
    place.run(Task::Train, &["data=data/data.yaml", "epochs=4", "time=0.5"]).unwrap();
    place.stand_in.mood = Mood::Dutiful;
    let verdict = place.replay(&[], Extent::Full, false).unwrap();
    assert_eq!((verdict.outcome, verdict.steps, verdict.of), (Outcome::Identical, 6, 6));
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert!(!container.arguments.contains(&"--time".to_owned()), "{:?}", container.arguments);
}

#[test]
fn a_hash_finds_the_run_and_not_its_replays() {
    let place = trained();
    place.replay(&[], Extent::Full, false).unwrap();
    let hash = list_runs(&place.work()).remove(0).run_hash.unwrap().hex();
    let found = find_folder(&place.work(), &hash[..12]).unwrap();
    assert_eq!(found, place.work().join("runs/train/exp"));
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let place = trained();
    for key in ["fraction=0.5", "single_cls=True", "cfg=x.yaml", "project=x", "resume=x"] {
        let failure = place.replay(&[key], Extent::Full, false).unwrap_err();
        assert!(
            failure.to_string().contains("has no effect on a run that is replayed"),
            "{failure}"
        );
    }
    let failure = place.replay(&["lr0=0.02"], Extent::Full, true).unwrap_err();
    assert!(failure.to_string().contains("lr0 cannot change in its midst"), "{failure}");
    assert!(!place.work().join("runs/replay").exists());
    let failure = place.replay(&[], Extent::Full, true).unwrap_err();
    assert!(failure.to_string().contains("replayed from a checkpoint: it kept none"), "{failure}");
    let folder = place.work().join("runs/train/exp");
    fs::remove_file(folder.join("start.json")).unwrap();
    fs::remove_file(folder.join("run.json")).unwrap();
    let failure = place.replay(&[], Extent::Full, false).unwrap_err();
    assert!(
        failure.to_string().contains("cannot be replayed: cannot read start.json"),
        "{failure}"
    );
}
