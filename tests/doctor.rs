//! `ybox doctor`, the real command: each trouble that a test can make is found, under its own name,
//! and what is well stays well.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

#[path = "image/fixture.rs"]
#[allow(dead_code, reason = "the tests of images use the rest")]
mod fixture;
mod standin_driver;

use std::fs;
use std::process::Command;

use fixture::Project;
use serde_json::Value;
use standin_driver::StandIn;

/// What the command says in this project: exit status and checks.
fn examine(project: &Project, change: impl FnOnce(&mut Command)) -> (i32, Vec<Value>) {
    let mut command = project.ybox(&["--json", "doctor"]);
    command.env_remove("YBOX_PRETEND");
    change(&mut command);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    assert_eq!(said["schema"], "ybox.doctor/v1");
    assert_eq!(said["well"] == true, output.status.success());
    (output.status.code().unwrap(), said["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap()
}

/// That of the name found trouble and says what to do about it.
fn assert_ill(checks: &[Value], name: &str, wrong: &str) {
    let check = check(checks, name);
    assert_eq!(check["state"], "ill", "{check:#}");
    assert!(check["wrong"].as_str().unwrap().contains(wrong), "{check:#}");
    assert!(!check["mend"].as_str().unwrap().is_empty(), "{check:#}");
}

#[test]
fn a_stored_image_is_well_until_a_bit_of_it_flips() {
    let project = Project::new();
    project.build().unwrap();
    let (_, checks) = examine(&project, |_| ());
    assert_eq!(check(&checks, "images")["state"], "well", "{checks:#?}");
    assert_eq!(check(&checks, "locks")["state"], "well", "{checks:#?}");

    let blob = project.path("home/store/blobs/sha256").join(&project.blobs()[0]);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let (status, checks) = examine(&project, |_| ());
    assert_eq!(status, 1);
    assert_ill(&checks, "images", "");
}

#[test]
fn a_lock_that_no_longer_fits_its_recipe_is_named() {
    let project = Project::new();
    let recipe = project.path("docker/tiny.yaml");
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, text.replace("title: tiny", "title: other")).unwrap();
    let (status, checks) = examine(&project, |_| ());
    assert_eq!(status, 1);
    assert_ill(&checks, "locks", "recipe was changed");
}

#[test]
fn a_data_set_that_cannot_be_read_is_trouble_and_one_that_can_is_not() {
    let project = Project::new();
    let file = project.path("data.yaml");
    let with = |command: &mut Command| _ = command.arg("--data").arg(&file);
    fs::write(&file, "train: nowhere\nval: nowhere\nnames: [a]\n").unwrap();
    let (status, checks) = examine(&project, with);
    assert_eq!(status, 1);
    assert_ill(&checks, "data", "");

    let drawn = project.path("drawn");
    let made = project.ybox(&["data", "synth"]).arg(&drawn).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (_, checks) = examine(&project, |command| {
        command.arg("--data").arg(drawn.join("data.yaml"));
    });
    assert_eq!(check(&checks, "data")["state"], "well", "{checks:#?}");
}

#[test]
fn a_driver_that_is_too_old_for_every_image_is_trouble() {
    let project = Project::new();
    let folder = tempfile::tempdir().unwrap();
    let driver = StandIn::new(folder.path(), &standin_driver::old_driver());
    let (status, checks) = examine(&project, |command| {
        command.env("LD_LIBRARY_PATH", driver.folder());
    });
    assert_eq!(status, 1);
    assert_ill(&checks, "driver", "driver");
    driver.becomes(&standin_driver::a100());
    let (_, checks) = examine(&project, |command| {
        command.env("LD_LIBRARY_PATH", driver.folder());
    });
    assert_eq!(check(&checks, "driver")["state"], "well", "{checks:#?}");
}
