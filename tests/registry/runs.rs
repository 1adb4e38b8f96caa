//! A run in a registry: what comes back verifies as before, and is found from its image.

use std::fs;
use std::path::Path;

use super::run_standin::Place;
use super::server::{Registry, home, refused, told, ybox};
use ybox_spec::config::Task;

const SETTINGS: [&str; 4] = ["data=data/data.yaml", "epochs=4", "imgsz=320", "numerics=fast"];

fn trained() -> Place {
    let place = Place::new();
    place.run(Task::Train, &SETTINGS).unwrap();
    place
}

/// The command of another machine, in its working directory.
fn elsewhere(dir: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = ybox(dir, arguments);
    fs::create_dir_all(dir.join("work")).unwrap();
    command.current_dir(dir.join("work"));
    command
}

/// The command of the machine that ran.
fn here(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = ybox(&place.home(), arguments);
    command.current_dir(place.work());
    command
}

#[test]
fn a_run_comes_back_and_verifies_as_before() {
    let place = trained();
    Registry::kinds().for_each(|registry| comes_back(&place, &registry));
}

fn comes_back(place: &Place, registry: &Registry) {
    let name = registry.place("team/runs");
    let push = ["push", "--run", "runs/train/exp", &name, "--insecure"];
    let pinned = told(&mut here(place, &push));
    let (tagged, digest) = pinned.split_once('@').unwrap();
    assert!(tagged.starts_with(&format!("{name}:run-")), "{pinned}");
    let before = told(&mut here(place, &["verify", "runs/train/exp", "--deep"]));
    let image = place.store().find("ybox/cpu").unwrap();
    let data = place.work().join("data");
    let data = data.to_str().unwrap();
    // By its tag, its digest, and the image that it refers to.
    for reference in [tagged, &format!("{name}@{digest}"), &format!("{name}@{}", image.manifest)] {
        let dir = home();
        let pull = ["pull", "--run", reference, "--insecure"];
        let folder = told(&mut elsewhere(dir.path(), &pull));
        let verify = ["verify", &folder, "--deep", "--data", data];
        let after = told(&mut elsewhere(dir.path(), &verify));
        assert_eq!(after.lines().last(), before.lines().last());
        assert_eq!(after.lines().count(), before.lines().count(), "{after}");
        let file = |name: &str| fs::read(dir.path().join("work").join(&folder).join(name)).unwrap();
        assert!(!file("report.html").is_empty() && !file("start.json").is_empty());
        let listed = told(&mut elsewhere(dir.path(), &["runs"]));
        assert!(listed.contains("pulled"), "{listed}");
        // Once more: the same folder.
        assert_eq!(told(&mut elsewhere(dir.path(), &pull)), folder);
    }
}

#[test]
fn a_run_that_was_changed_is_not_pushed() {
    let Some(registry) = Registry::start() else { return };
    let place = trained();
    let results = place.work().join("runs/train/exp/results.csv");
    fs::write(&results, fs::read_to_string(&results).unwrap().replace('1', "2")).unwrap();
    let push = ["push", "--run", "runs/train/exp", &registry.place("team/runs"), "--insecure"];
    let (code, said) = refused(&mut here(&place, &push));
    assert_eq!(code, 1);
    assert!(said.contains("results.csv is not what the run's record says"), "{said}");
}

#[test]
fn a_run_takes_no_image_s_tag_and_several_runs_are_told_apart() {
    let place = trained();
    place.run(Task::Train, &[&SETTINGS[..], &["lr0=0.02"]].concat()).unwrap();
    Registry::kinds().for_each(|registry| are_told_apart(&place, &registry));
}

fn are_told_apart(place: &Place, registry: &Registry) {
    let image = registry.place("team/runs:v1");
    told(&mut here(place, &["push", &image, "--image", "ybox/cpu", "--insecure"]));
    let push =
        |run: &str, place: &str| ["push", "--run", run, place, "--insecure"].map(str::to_owned);
    let arguments = push("runs/train/exp", &image);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (code, said) = refused(&mut here(place, &arguments));
    assert_eq!(code, 1);
    assert!(said.contains("names something else than a run"), "{said}");
    for run in ["runs/train/exp", "runs/train/exp2"] {
        let arguments = push(run, &registry.place("team/runs"));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        told(&mut here(place, &arguments));
    }
    let dir = home();
    let (code, said) =
        refused(&mut elsewhere(dir.path(), &["pull", "--run", &image, "--insecure"]));
    assert_eq!(code, 1);
    assert_eq!(said.matches("team/runs@sha256:").count(), 2, "{said}");
}

#[test]
fn a_replay_fetches_the_run_and_the_image() {
    let Some(registry) = Registry::start() else { return };
    let place = trained();
    let push = ["push", "--run", "runs/train/exp", &registry.place("team/runs"), "--insecure"];
    let pinned = told(&mut here(&place, &push));
    let dir = home();
    let data = place.work().join("data/data.yaml");
    // The stand-in's image holds no trainer: the replay gets as far as running it.
    let replay =
        ["replay", &pinned, "--insecure", "--data", data.to_str().unwrap(), "--engine", "embedded"];
    let (_, said) = refused(&mut elsewhere(dir.path(), &replay));
    assert!(!said.contains("is not in the store"), "{said}");
    let store = ybox::image::Store::under(dir.path()).unwrap();
    let image = place.store().find("ybox/cpu").unwrap();
    assert_eq!(store.find(&image.config.to_string()).unwrap().manifest, image.manifest);
    // A run folder alone: the settings say who has its image. Others may not have it, or not answer.
    let bare = home();
    let run = elsewhere(dir.path(), &["runs", "--json"]).output().unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let folder = dir.path().join("work").join(run[0]["folder"].as_str().unwrap());
    let settings = bare.path().join("config/ybox");
    fs::create_dir_all(&settings).unwrap();
    let text = format!(
        "image_repositories: [\"127.0.0.1:1/runs\", \"{}\", \"{}\"]\n\
         insecure_registries: [\"127.0.0.1:{}\"]\n",
        registry.place("team/none"),
        registry.place("team/runs"),
        registry.port
    );
    fs::write(settings.join("config.yaml"), text).unwrap();
    let replay = [
        "replay",
        folder.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--engine",
        "embedded",
    ];
    let mut command = elsewhere(bare.path(), &replay);
    let (_, said) = refused(command.env("XDG_CONFIG_HOME", bare.path().join("config")));
    assert!(!said.contains("is not in the store"), "{said}");
    let store = ybox::image::Store::under(bare.path()).unwrap();
    assert_eq!(store.find(&image.config.to_string()).unwrap().manifest, image.manifest);
}
