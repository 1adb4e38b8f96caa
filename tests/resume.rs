//! `resume=RUN`: a training that was killed goes on as the same run, and from nothing else.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;

use run_standin::{Mood, Place, image};
use ybox::run::Finished;
use ybox::ui::Failure;
use ybox_spec::config::Task;
use ybox_spec::record::Status;

const SETTINGS: [&str; 3] = ["data=data/data.yaml", "epochs=4", "imgsz=320"];
const RESUME: &str = "resume=runs/train/exp";

/// A training that died in `runs/train/exp` after its second epoch.
fn killed() -> Place {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Dies(2);
    let failure = place.run(Task::Train, &SETTINGS).unwrap_err();
    assert_eq!(failure.exit, 3, "{failure:?}");
    place.stand_in.mood = Mood::Dutiful;
    place
}

fn resume(place: &Place, more: &[&str]) -> Result<Finished, Failure> {
    place.run(Task::Train, &[&[RESUME], more].concat())
}

#[test]
fn a_killed_training_becomes_the_run_that_it_would_have_been() {
    let whole = Place::new().run(Task::Train, &SETTINGS).unwrap().record;
    let place = killed();
    let resumed = resume(&place, &["workers=7"]).unwrap();
    assert!(resumed.folder.ends_with("runs/train/exp"));
    assert_eq!(resumed.record.status, Status::Completed);
    assert_eq!(resumed.record.run_hash, whole.run_hash);
    assert_eq!(resumed.record.circumstances.launch["workers"], 7);
    assert_eq!(resumed.record.circumstances.launch["data"], "data/data.yaml");
    let report = place.verify(&resumed.folder);
    assert!(report.passes(), "{report:?}");

    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert!(container.arguments.contains(&"--resume".to_owned()), "{:?}", container.arguments);
    let again = resume(&place, &[]).unwrap_err();
    assert!(again.to_string().contains("cannot be resumed: it is complete"), "{again}");
}

#[test]
fn an_interrupted_training_goes_on_and_its_record_follows() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Stopped(1);
    let interrupted = place.run(Task::Train, &SETTINGS).unwrap();
    assert_eq!(interrupted.record.status, Status::Interrupted);
    let mut place = Place { stand_in: Default::default(), ..place };
    place.stand_in.mood = Mood::Dutiful;
    let resumed = resume(&place, &[]).unwrap().record;
    assert_eq!(resumed.run_hash, Place::new().run(Task::Train, &SETTINGS).unwrap().record.run_hash);
    assert_eq!(resumed.circumstances.started, interrupted.record.circumstances.started);
}

#[test]
fn a_training_whose_time_is_spent_goes_on_with_more() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::OutOfTime(1);
    let stopped = place.run(Task::Train, &[&SETTINGS[..], &["time=0.5"]].concat()).unwrap();
    assert_eq!(stopped.record.status, Status::OutOfTime);
    assert!(place.verify(&stopped.folder).passes());
    let hours = |place: &Place| {
        let arguments = place.stand_in.container.lock().unwrap().clone().unwrap().arguments;
        let at = arguments.iter().position(|argument| argument == "--time")?;
        Some(arguments[at + 1].clone())
    };
    assert_eq!(hours(&place).unwrap(), "0.5");

    let whole = Place::new().run(Task::Train, &SETTINGS).unwrap().record;
    assert_eq!(stopped.record.input_hash, whole.input_hash);
    let mut place = Place { stand_in: Default::default(), ..place };
    place.stand_in.mood = Mood::OutOfTime(2);
    let resumed = resume(&place, &["time=8"]).unwrap().record;
    assert_eq!(resumed.status, Status::OutOfTime);
    assert_eq!(resumed.circumstances.launch["time"], 8.0);
    assert_eq!(hours(&place).unwrap(), "8");
    place.stand_in.mood = Mood::Dutiful;
    let finished = resume(&place, &["time="]).unwrap().record;
    assert_eq!((finished.status, finished.run_hash), (Status::Completed, whole.run_hash));
    assert_eq!(hours(&place), None);
    for (task, argument, expected) in [
        (Task::Train, "time=0", "time: 0 is not above 0 and at most 1000000"),
        (Task::Val, "time=1", "`time` is a setting of train, not of val"),
    ] {
        let failure = place.run(task, &[argument]).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[test]
fn other_inputs_are_refused_and_named_and_nothing_changes() {
    let place = killed();
    let folder = place.work().join("runs/train/exp");
    let refused = |more: &[&str], expected: &str| {
        let failure = resume(&place, more).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(failure.exit, 1);
    };
    refused(&["epochs=5"], "started with epochs=4, not epochs=5");
    refused(
        &["weights=data/data.yaml"],
        "started with another initial weights: none, here sha256:",
    );
    refused(&["device=0"], "variant-not-for-device: variant cpu can't run on device 0");
    for key in ["cfg=x.yaml", "project=x", "name=x", "exist_ok=True"] {
        let failure = resume(&place, &[key]).unwrap_err();
        assert!(
            failure.to_string().contains("has no effect on a run that is resumed"),
            "{failure}"
        );
    }

    let picture = place.work().join("data/images/train/1.jpg");
    fs::write(&picture, "another").unwrap();
    refused(&[], "started with other data: images/train/1.jpg");
    fs::remove_file(&picture).unwrap();
    refused(&[], "images/train/1.jpg, which does not exist");
    fs::write(&picture, "picture 1").unwrap();

    let config = fs::read_to_string(folder.join("config.yaml")).unwrap();
    fs::write(folder.join("config.yaml"), config.replace("epochs: 4", "epochs: 5")).unwrap();
    refused(&[], "config.yaml was changed since the run was started");
    fs::write(folder.join("config.yaml"), config).unwrap();

    image(&place.home(), "ybox/cpu:latest", "epochs: 100\n");
    refused(&[], "its image, ybox/cpu:latest");
    image(&place.home(), "ybox/cpu:latest", "epochs: 600\nscale: 0.5\n");
    resume(&place, &["epochs=4"]).unwrap();
}

#[test]
fn a_record_alone_is_not_gone_on_with_and_stays() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Stopped(1);
    let folder = place.run(Task::Train, &SETTINGS).unwrap().folder;
    fs::remove_file(folder.join("start.json")).unwrap();
    let failure = resume(&place, &[]).unwrap_err();
    assert!(failure.to_string().contains("it has no start.json"), "{failure}");
    assert!(folder.join("run.json").exists());
}

#[test]
fn says_which_run_it_needs_to_know() {
    let place = Place::new();
    let failure = place.run(Task::Train, &["resume=True"]).unwrap_err();
    assert!(failure.to_string().contains("resume=True does not say which run"), "{failure}");
    let failure = place.run(Task::Train, &["resume=runs/train/none"]).unwrap_err();
    assert!(failure.to_string().contains("there is no run runs/train/none"), "{failure}");
}
