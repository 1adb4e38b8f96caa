//! Settings about memory: `batch=auto`, `memory=` and `cache=`, with a stand-in for the trainer.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run_standin;

use std::fs;

use run_standin::{Mood, Place, json_file, settings};
use ybox::run::Finished;
use ybox_spec::config::{Config, Task};

const TRAIN: [&str; 3] = ["data=data/data.yaml", "epochs=2", "imgsz=320"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TRAIN, more].concat()
}

fn batch(finished: &Finished) -> u32 {
    let Config::Train(config) = &finished.record.config else { panic!() };
    config.batch
}

#[test]
fn an_automatic_batch_is_a_number_before_anything_is_hashed() {
    let place = Place::new();
    let (result, talk) = place.run_talking(Task::Train, &with(&["batch=auto", "memory=4GiB"]));
    let finished = result.unwrap();
    settings().bind(|| insta::assert_snapshot!("talk_of_an_automatic_batch", talk));
    assert_eq!(batch(&finished), 20);
    assert_eq!(*place.stand_in.verbs.lock().unwrap(), ["batch", "train"]);
    let record = json_file(&finished.folder.join("run.json"));
    let plan = &record["circumstances"]["batch"];
    assert_eq!((&plan["batch"], &plan["share"]), (&20.into(), &0.6.into()));
    assert!(place.verify(&finished.folder).passes());

    // The same training is asked for with the number; only the circumstances tell them apart.
    let named = place.run(Task::Train, &with(&["batch=20"])).unwrap();
    assert_eq!(named.record.run_hash, finished.record.run_hash);
    let record = json_file(&named.folder.join("run.json"));
    assert!(record["circumstances"].get("batch").is_none());
    let left: Vec<_> =
        fs::read_dir(place.home()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("batch")), "{left:?}");
}

#[test]
fn the_trainer_is_asked_with_what_its_answer_depends_on() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Fails;
    let asked = with(&["batch=0.8", "memory=3GiB", "checkpointing=layer", "cache=False"]);
    let failure = place.run(Task::Train, &asked).unwrap_err();
    assert_eq!(failure.exit, 3);
    assert!(failure.to_string().contains("no batch fits"), "{failure}");
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert_eq!(
        container.arguments.join(" "),
        "batch --config /out/config.yaml --out /out --checkpointing layer --share 0.8 --cache off \
         --train 2 --val 1 --memory 3GiB"
    );
    assert!(!place.work().join("runs").exists());
}

#[test]
fn an_automatic_batch_that_runs_out_of_memory_is_halved() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::OutOfMemoryAbove(6);
    let (result, talk) = place.run_talking(Task::Train, &with(&["batch=-1"]));
    let finished = result.unwrap();
    assert_eq!(batch(&finished), 5);
    assert!(talk.contains("trying again with batch=10"), "{talk}");
    let record = json_file(&finished.folder.join("run.json"));
    assert_eq!(record["circumstances"]["batch"]["failed"], serde_json::json!([20, 10]));
    assert_eq!(finished.folder, place.work().join("runs/train/exp"));
    assert!(place.verify(&finished.folder).passes());
    assert_eq!(*place.stand_in.verbs.lock().unwrap(), ["batch", "train", "train", "train"]);

    place.stand_in.mood = Mood::OutOfMemoryAbove(1);
    let failure = place.run(Task::Train, &with(&["batch=-1"])).unwrap_err();
    assert_eq!(failure.exit, 3, "after three smaller ones it is given up: {failure}");
    let failure = place.run(Task::Train, &with(&["batch=20"])).unwrap_err();
    assert_eq!(failure.exit, 3, "a named batch is not changed: {failure}");
}

#[test]
fn a_run_that_goes_on_knows_how_its_batch_was_chosen_and_keeps_it() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Dies(1);
    place.run(Task::Train, &with(&["batch=auto"])).unwrap_err();
    place.stand_in.mood = Mood::OutOfMemoryAbove(6);
    let failure = place.run(Task::Train, &["resume=runs/train/exp"]).unwrap_err();
    assert_eq!(failure.exit, 3, "another batch would be another run: {failure}");
    place.stand_in.mood = Mood::Dutiful;
    let finished = place.run(Task::Train, &["resume=runs/train/exp"]).unwrap();
    let record = json_file(&finished.folder.join("run.json"));
    assert_eq!((batch(&finished), &record["circumstances"]["batch"]["batch"]), (20, &20.into()));
    assert_eq!(*place.stand_in.verbs.lock().unwrap(), ["batch", "train", "train", "train"]);
}

#[test]
fn settings_about_memory_that_do_nothing_are_refused() {
    let place = Place::new();
    for (more, expected) in [
        (&["memory=4GiB"][..], "memory=4GiB has no effect"),
        (&["memory=4GiB", "batch=8", "checkpointing=layer"], "memory=4GiB has no effect"),
        (&["batch=auto", "checkpointing=auto"], "each need the other"),
        (&["batch=1.5"], "batch: invalid type"),
        (&["cache=tape"], "cache: `tape` is none of False, True, auto, ram and disk"),
    ] {
        let failure = place.run(Task::Train, &with(more)).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
    assert!(place.stand_in.verbs.lock().unwrap().is_empty());
    for caps in ["checkpointing=auto", "cache=ram"] {
        place.run(Task::Train, &with(&["memory=4GiB", caps])).unwrap();
    }
}

#[test]
fn where_pictures_are_kept_is_no_input_and_the_disk_is_the_homes() {
    let place = Place::new();
    let plain = place.train();
    for cache in ["False", "True", "ram", "disk", "auto"] {
        let setting = format!("cache={cache}");
        let finished = place.run(Task::Train, &with(&[&setting])).unwrap();
        assert_eq!(finished.record.run_hash, plain.record.run_hash, "{cache}");
        let container = place.stand_in.container.lock().unwrap().clone().unwrap();
        let mount = container.mounts.iter().find(|mount| mount.target == "/cache");
        let arguments = container.arguments.join(" ");
        if cache == "disk" {
            let mount = mount.unwrap();
            assert!(mount.writable && mount.source == place.home().join("pictures/1"));
            let given = " --cache disk --cache-dir /cache --cache-bytes ";
            assert!(arguments.contains(given), "{arguments}");
        } else {
            assert!(mount.is_none() && !arguments.contains("--cache-dir"), "{arguments}");
        }
    }
}
