//! Inputs that were carried to a machine without a network.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ybox_spec::Digest;

use super::fixture::{Project, ordinary_wheel};

/// Builds without a network, in a home of its own.
fn built(project: &Project, home: &Path, carried: &Path) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ybox"));
    command.args(["build", "tiny", "--no-load", "--offline", "--project"]).arg(project.path("."));
    command.arg("--home").arg(home).arg("--carried").arg(carried).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_empty_home_builds_offline_from_what_was_carried() {
    let project = Project::new();
    let carried = project.path("carried");
    for variants in [&["tiny"][..], &[]] {
        let mut fetch = project.ybox(&["fetch", "--all"]);
        let output = fetch.arg(&carried).args(variants).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).starts_with("tiny: 2 inputs ("), "{}", said(&output));
    }
    let home = tempfile::tempdir().unwrap();
    let output = built(&project, home.path(), &carried);
    assert!(output.status.success(), "{}", said(&output));
    let here = project.build().unwrap().image;
    let there = String::from_utf8(output.stdout).unwrap();
    assert_eq!(there, format!("{}@{}\n", here.reference, here.manifest));
}

#[test]
fn what_was_changed_on_the_way_is_not_used() {
    let project = Project::new();
    let carried = project.path("carried");
    let fetched = project.ybox(&["fetch", "--all"]).arg(&carried).output().unwrap();
    assert!(fetched.status.success(), "{}", said(&fetched));
    let wheel = carried.join("sha256").join(Digest::of(&ordinary_wheel()).hex());
    let mut bytes = fs::read(&wheel).unwrap();
    bytes[100] ^= 1;
    fs::write(&wheel, &bytes).unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = built(&project, home.path(), &carried);
    assert_eq!(output.status.code(), Some(1));
    let name = "not downloaded yet, and this is offline: beta-1.0-py3-none-any.whl";
    assert!(said(&output).contains(name), "{}", said(&output));
    // What was carried is only read; fetching into it again mends it.
    assert_eq!(fs::read(&wheel).unwrap(), bytes);
    project.ybox(&["fetch", "--all"]).arg(&carried).output().unwrap();
    assert!(built(&project, home.path(), &carried).status.success());
}

#[test]
fn several_variants_need_a_folder() {
    let project = Project::new();
    let output = project.ybox(&["fetch", "tiny", "tiny"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("only with --all DIR"), "{}", said(&output));
}
