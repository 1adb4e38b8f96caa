//! The documents that go with an image: the same for the same image, and what others read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use ybox::image::{IN_TOTO, LOCK, SPDX, Store, StoredImage};
use ybox_spec::Digest;

use super::fixture::{Compression, Project, deb, file, ordinary_members, wheel};

/// The Python that has spdx-tools and in-toto's; nothing, and a line, where it is missing.
fn oracle() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle-venv/bin/python");
    let program = "import spdx_tools, in_toto_attestation";
    let probe = || Command::new(&python).args(["-c", program]).output();
    if python.exists() && probe().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: no spdx-tools in {}; scripts/oracle-venv.sh makes it", python.display());
    None
}

/// Has both documents of an image read by the tools of their own projects.
pub fn others_read_the_documents_of(store: &Store, image: &StoredImage) {
    let Some(python) = oracle() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (bill, statement) = (dir.path().join("bill.spdx.json"), dir.path().join("statement.json"));
    for (path, kind) in [(&bill, SPDX), (&statement, IN_TOTO)] {
        fs::write(path, store.attached_document(image, kind).unwrap().unwrap()).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image/documents_oracle.py");
    let output = Command::new(python).arg(script).args([&bill, &statement]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn project() -> Project {
    let mut members = ordinary_members();
    members.push(file("./usr/share/doc/alpha/more", "text"));
    let wheel = wheel(&[
        ("beta/lib/beta.so", 0o755, b"not really a library"),
        ("beta-1.0.dist-info/METADATA", 0o644, b"Name: beta\nLicense: Own\nLicense-File: L\n\n"),
        ("beta-1.0.dist-info/licenses/L", 0o644, b"do as you like"),
    ]);
    Project::with(&deb(&members, Compression::None), &wheel)
}

fn document(project: &Project, verb: &str) -> Value {
    let output = project.ybox(&[verb, "tiny"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_bill_names_every_package_with_version_hash_and_licence() {
    let project = project();
    project.build().unwrap();
    let bill = document(&project, "sbom");
    let packages = bill["packages"].as_array().unwrap();
    let named = |name: &str| packages.iter().find(|p| p["name"] == name).unwrap();
    for (name, version, digest, text) in [
        ("alpha", "1.0-1", project.lock.debs[0].sha256, "free"),
        ("beta", "1.0", project.lock.wheels[0].sha256, "do as you like"),
    ] {
        let package = named(name);
        assert_eq!(package["versionInfo"], version);
        assert_eq!(package["checksums"][0]["checksumValue"], digest.hex());
        let texts = bill["hasExtractedLicensingInfos"].as_array().unwrap();
        let licence = texts.iter().find(|t| t["licenseId"] == package["licenseDeclared"]);
        assert_eq!(licence.unwrap()["extractedText"], text);
    }
    let trainer = Digest::of(&fs::read(project.path("trainer")).unwrap());
    assert_eq!(named("ytrain")["checksums"][0]["checksumValue"], trainer.hex());
}

#[test]
fn the_provenance_names_the_image_and_all_it_was_made_from() {
    let project = project();
    let image = project.build().unwrap().image;
    let statement = document(&project, "provenance");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], image.manifest.hex());
    let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let text = dependencies.to_string();
    let lock = fs::read(project.path("docker/tiny.lock")).unwrap();
    for digest in [
        project.lock.debs[0].sha256,
        project.lock.wheels[0].sha256,
        project.lock.digest(),
        project.recipe.digest(),
        Digest::of(&lock),
        Digest::of(&fs::read(project.path("trainer")).unwrap()),
        Digest::of(&fs::read(project.path("configs/a.yaml")).unwrap()),
    ] {
        assert!(text.contains(&digest.hex()), "{digest}: {text}");
    }
}

#[test]
fn documents_are_the_same_wherever_and_whenever_the_image_is_built() {
    let (one, other) = (project(), project());
    let (image, again) = (one.build().unwrap().image, other.build().unwrap().image);
    assert_eq!(image.manifest, again.manifest);
    let attached = one.store().attached(&image).unwrap();
    assert_eq!(attached.len(), 3);
    assert_eq!(attached, other.store().attached(&again).unwrap());
    one.build().unwrap();
    assert_eq!(attached, one.store().attached(&image).unwrap());
    let lock = one.store().attached_document(&image, LOCK).unwrap().unwrap();
    assert_eq!(lock, fs::read(one.path("docker/tiny.lock")).unwrap());
    assert!(one.store().was_built_here(&image.config).unwrap());
}

#[test]
fn the_tools_of_their_projects_read_them() {
    let project = project();
    let image = project.build().unwrap().image;
    others_read_the_documents_of(&project.store(), &image);
}

#[test]
fn an_image_without_documents_says_so() {
    let project = project();
    project.build().unwrap();
    fs::remove_dir_all(project.path("home/store/attached")).unwrap();
    let output = project.ybox(&["sbom", "tiny"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: the image ybox/tiny:latest has no SBOM

    hint: images that this ybox builds have one: build it again with `ybox build VARIANT`
    ");
}
