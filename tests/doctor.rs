//! `ybox doctor`, the real command: each trouble that a test can make is found, under its own name,
//! and what is well stays well.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

#[path = "image/fixture.rs"]
#[allow(dead_code, reason = "the tests of images use the rest")]
mod fixture;
mod standin_driver;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fixture::Project;
use serde_json::Value;
use standin_driver::StandIn;

/// What the command says in this project: exit status and checks.
fn examine(project: &Project, change: impl FnOnce(&mut Command)) -> (i32, Vec<Value>) {
    let mut command = project.ybox(&["--json", "doctor"]);
    command.env_remove("YBOX_PRETEND");
    change(&mut command);
    said(&mut command)
}

fn said(command: &mut Command) -> (i32, Vec<Value>) {
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

    let deep = |command: &mut Command| _ = command.arg("--deep");
    let (_, checks) = examine(&project, deep);
    assert_eq!(check(&checks, "images")["found"], "1 stored, all read and intact");

    let layer = lowest_layer(&project);
    let mut bytes = fs::read(&layer).unwrap();
    bytes[0] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    let (_, checks) = examine(&project, |_| ());
    let found = check(&checks, "images")["found"].as_str().unwrap();
    assert!(found.contains("--deep"), "what was not read is not said to be intact: {found}");
    let (status, checks) = examine(&project, deep);
    assert_eq!(status, 1);
    assert_ill(&checks, "images", "its content hashes to");

    fs::write(&layer, &bytes[1..]).unwrap();
    let (_, checks) = examine(&project, |_| ());
    assert_ill(&checks, "images", "bytes, the manifest says");
    fs::remove_file(&layer).unwrap();
    let (_, checks) = examine(&project, |_| ());
    assert_ill(&checks, "images", "it is not in the store");

    let index = project.path("home/store/index.json");
    fs::write(&index, "{").unwrap();
    let (_, checks) = examine(&project, |_| ());
    assert_ill(&checks, "images", "the index of the image store");
    let mend = check(&checks, "images")["mend"].as_str().unwrap();
    assert!(mend.contains(&index.display().to_string()), "{mend}");
}

/// The lowest layer of the project's only image.
fn lowest_layer(project: &Project) -> PathBuf {
    let read =
        |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |named: &Value| {
        let digest = named["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        project.path("home/store/blobs/sha256").join(digest)
    };
    let index = read(project.path("home/store/index.json"));
    blob(&read(blob(&index["manifests"][0]))["layers"][0])
}

#[test]
fn people_read_a_line_for_each_check_and_two_more_where_something_is_wrong() {
    let project = Project::new();
    let output = project.ybox(&["doctor", "--pretend", "T4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty());
    insta::with_settings!({ filters => vec![(r"[\d.]+ GiB free in .*", "[ROOM]")] }, {
        insta::assert_snapshot!("doctor", String::from_utf8(output.stdout).unwrap());
    });
}

#[test]
fn nothing_is_made() {
    let project = Project::new();
    let mut command = project.ybox(&["--json", "doctor"]);
    said(command.arg("--home").arg(project.path("elsewhere")));
    assert!(!project.path("elsewhere").exists());
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
    assert!(check(&checks, "locks")["mend"].as_str().unwrap().contains("ybox lock tiny"));

    fs::write(project.path("docker/tiny.lock"), "schema: [").unwrap();
    let (_, checks) = examine(&project, |_| ());
    assert_ill(&checks, "locks", "tiny.lock is not valid");
    let mend = check(&checks, "locks")["mend"].as_str().unwrap();
    assert!(mend.contains("git checkout") && mend.contains("tiny.lock"), "{mend}");
}

#[test]
fn a_package_index_that_is_not_set_is_trouble() {
    let project = Project::new();
    // Without a pip to ask.
    let nothing = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ybox"));
    command.args(["--json", "doctor", "--pretend", "cpu", "--home"]).arg(project.path("home"));
    command.env("PATH", nothing.path()).env("HOME", nothing.path());
    command.env_remove("XDG_CONFIG_HOME").env_remove("YBOX_PYTHON_INDEX");
    command.env("YBOX_DEB_MIRROR", "http://127.0.0.1:1/debian");
    let (status, checks) = said(&mut command);
    assert_eq!(status, 1);
    assert_ill(&checks, "indexes", "YBOX_PYTHON_INDEX is not set");
    assert!(check(&checks, "indexes")["mend"].as_str().unwrap().contains("python_index"));
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
    driver.becomes(&standin_driver::failing(999));
    let (_, checks) = examine(&project, |command| {
        command.env("LD_LIBRARY_PATH", driver.folder());
    });
    assert_ill(&checks, "driver", "cuda-does-not-start");
    driver.becomes(&standin_driver::a100());
    let (_, checks) = examine(&project, |command| {
        command.env("LD_LIBRARY_PATH", driver.folder());
    });
    assert_eq!(check(&checks, "driver")["state"], "well", "{checks:#?}");
}
