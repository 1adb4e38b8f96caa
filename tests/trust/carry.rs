//! One file across an air gap.

use std::fs;
use std::path::Path;

use tar::{EntryType, Header};

use super::cosign::{have, output, run, ybox};
use super::fixture::Project;
use super::signing::Scene;

fn exported() -> (Project, Vec<u8>) {
    let project = Project::new();
    project.build().unwrap();
    let printed = output(ybox(&project.path("."), &["export", "tiny", "tiny.tar"]));
    assert_eq!(printed, "tiny.tar\n");
    let bytes = fs::read(project.path("tiny.tar")).unwrap();
    (project, bytes)
}

/// Imports `archive` into an empty store: what is then in it, or what was said.
fn imported(archive: &[u8]) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.tar"), archive).unwrap();
    let import = ybox(dir.path(), &["import", "x.tar"]);
    let images = output(ybox(dir.path(), &["images", "--json"]));
    let left = fs::read_dir(dir.path().join("home/store/tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing unfinished is left");
    match import.status.success() {
        true => Ok(images),
        false => {
            assert_eq!(images, "[]\n");
            assert_eq!(
                fs::read_dir(dir.path().join("home/store/blobs/sha256")).unwrap().count(),
                0
            );
            Err(String::from_utf8(import.stderr).unwrap())
        }
    }
}

#[test]
fn what_arrives_is_the_image_with_its_documents() {
    let (project, archive) = exported();
    let image = project.store().find("tiny").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.tar"), &archive).unwrap();
    for _ in 0..2 {
        output(ybox(dir.path(), &["import", "x.tar"]));
        for verb in ["sbom", "provenance"] {
            let here = output(ybox(&project.path("."), &[verb, "tiny"]));
            assert_eq!(output(ybox(dir.path(), &[verb, "tiny"])), here);
        }
    }
    let store = ybox::image::Store::under(&dir.path().join("home")).unwrap();
    let arrived = store.find("tiny").unwrap();
    assert_eq!((&arrived.reference, arrived.config), (&image.reference, image.config));
    assert_eq!(store.check(&arrived), []);
    // On and back again: the same file.
    output(ybox(&project.path("."), &["export", "tiny", "again.tar"]));
    assert_eq!(fs::read(project.path("again.tar")).unwrap(), archive);
}

#[test]
fn signatures_arrive_and_satisfy_a_policy() {
    let Some(scene) = Scene::new() else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, Some("team.key"));
    output(ybox(&scene.folder(), &["export", &place, "signed.tar"]));
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    let import = |file: &str| {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let output = ybox(&scene.folder(), &["import", file, "--home", home]);
        let convert = ["weights", "convert", "x.pt", "x.safetensors", "--home", home, "--image"];
        let run = ybox(&scene.folder(), &[&convert[..], &[place.as_str()]].concat());
        (output, String::from_utf8(run.stderr).unwrap())
    };
    let (import_signed, run_signed) = import("signed.tar");
    output(import_signed);
    assert!(!run_signed.contains("not trusted"), "{run_signed}");
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/stranger.pub]}\n");
    let (refused, _) = import("signed.tar");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("none of its 1 signatures"), "{said}");
}

#[test]
fn no_changed_byte_gets_in() {
    let (_project, archive) = exported();
    let whole = imported(&archive).unwrap();
    let steps = 23;
    for step in 0..steps {
        let mut changed = archive.clone();
        let at = changed.len() * step / steps + step;
        changed[at] ^= 4;
        // A byte of padding may change nothing.
        if let Ok(images) = imported(&changed) {
            assert_eq!(images, whole, "byte {at}");
        }
    }
    assert!(imported(&archive[..archive.len() / 2]).is_err());
}

#[test]
fn hostile_members_are_refused_with_a_reason() {
    let (_project, archive) = exported();
    for (name, kind, said) in [
        ("../evil", EntryType::Regular, "`../evil` is not of an image's archive"),
        ("/etc/passwd", EntryType::Regular, "`/etc/passwd` is not of an image's archive"),
        ("blobs/sha256/../../x", EntryType::Regular, "is not of an image's archive"),
        ("index.json", EntryType::Symlink, "is a link or another special file"),
        ("blobs/sha256/x", EntryType::Link, "is a link or another special file"),
        ("x", EntryType::Char, "is a link or another special file"),
        ("index.json", EntryType::Regular, "`index.json` occurs twice"),
    ] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let end = archive.len() - 1024;
        let hostile = [&archive[..end], header.as_bytes(), &archive[end..]].concat();
        let error = imported(&hostile).unwrap_err();
        assert!(error.contains(said), "{name}: {error}");
    }
    let error = imported(&[0; 1024]).unwrap_err();
    assert!(error.contains("it has no ybox.json"), "{error}");
}

#[test]
fn skopeo_takes_the_image_out_of_it() {
    if !have("skopeo") {
        return;
    }
    let (project, _) = exported();
    for transport in ["docker-archive", "oci-archive"] {
        let from = format!("{transport}:tiny.tar");
        let to = format!("dir:{transport}");
        let flags = ["--insecure-policy", "copy", from.as_str(), to.as_str()];
        output(run(Path::new("skopeo"), &project.path("."), &flags));
    }
}
