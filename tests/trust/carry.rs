//! One file across an air gap.

use std::fs;
use std::path::Path;

use tar::{EntryType, Header};

use serde_json::{Value, json};

use super::carry_run::{members, with, with_json};
use super::cosign::{output, run, ybox};
use super::fixture::Project;
use super::server::have;
use super::signing::Scene;

pub fn exported() -> (Project, Vec<u8>) {
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
fn a_signature_survives_tidying_up_and_every_further_hop() {
    let Some(scene) = Scene::new() else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, Some("team.key"));
    output(ybox(&scene.folder(), &["export", &place, "hop0.tar"]));
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    for hop in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let there =
            |arguments: &[&str]| ybox(&scene.folder(), &[arguments, &["--home", home]].concat());
        output(there(&["import", &format!("hop{hop}.tar")]));
        output(there(&["gc", "--yes"]));
        let convert = ["weights", "convert", "x.pt", "x.safetensors", "--image", &place];
        let said = String::from_utf8(there(&convert).stderr).unwrap();
        assert!(!said.contains("not trusted"), "hop {hop}: {said}");
        output(there(&["export", &place, &format!("hop{}.tar", hop + 1)]));
    }
    let hop = |number: usize| fs::read(scene.folder().join(format!("hop{number}.tar"))).unwrap();
    assert_eq!(hop(2), hop(1), "nothing is added on the way");
}

#[test]
fn an_image_without_a_tag_is_found_by_the_name_that_import_prints() {
    let project = Project::new();
    let first = project.build().unwrap().image;
    fs::write(project.path("configs/a.yaml"), "model: z\n").unwrap();
    project.build().unwrap();
    let export = ybox(&project.path("."), &["export", &first.config.to_string(), "x.tar"]);
    let said = String::from_utf8(export.stderr.clone()).unwrap();
    output(export);
    assert!(said.starts_with(&format!("ybox/tiny@{}: ", first.manifest)), "{said}");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(project.path("x.tar"), dir.path().join("x.tar")).unwrap();
    for _ in 0..2 {
        let name = output(ybox(dir.path(), &["import", "x.tar"]));
        let name = name.trim_end();
        assert_eq!(name.matches('@').count(), 1, "{name}");
        let store = ybox::image::Store::under(&dir.path().join("home")).unwrap();
        let found = store.find(name).unwrap();
        assert_eq!((found.reference.as_str(), found.config), (name, first.config));
        output(ybox(dir.path(), &["export", name, "x.tar"]));
    }
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
fn documents_that_could_mean_two_things_are_refused() {
    let (_project, archive) = exported();
    let twice = with(&archive, "ybox.json", |list| {
        let text = String::from_utf8(list.clone()).unwrap();
        *list = text.replace(r#""attached""#, r#""attached":[],"attached""#).into_bytes();
    });
    let error = imported(&twice).unwrap_err();
    assert!(error.contains("the key `attached` occurs twice"), "{error}");
    let inside = with(&archive, "index.json", |index| {
        let text = String::from_utf8(index.clone()).unwrap();
        *index = text.replace(r#""annotations":{"#, r#""annotations":{"a":"1","a":"2","#).into();
    });
    let error = imported(&inside).unwrap_err();
    assert!(error.contains("the key `a` occurs twice"), "{error}");
    let both = with_json(&archive, "index.json", |index| index["layers"] = json!([]));
    let error = imported(&both).unwrap_err();
    assert!(error.contains("it is manifest and index at once"), "{error}");
}

#[test]
fn what_is_attached_is_bounded_and_has_to_be_about_the_image() {
    let (_project, archive) = exported();
    let attached = |change: &dyn Fn(&mut Vec<Value>)| {
        with_json(&archive, "ybox.json", |l| change(l["attached"].as_array_mut().unwrap()))
    };
    let many = attached(&|listed| *listed = vec![listed[0].clone(); 65]);
    let error = imported(&many).unwrap_err();
    assert!(error.contains("it lists more than 64 attachments"), "{error}");

    let there = |archive: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.tar"), archive).unwrap();
        output(ybox(dir.path(), &["import", "x.tar"]));
        let store = ybox::image::Store::under(&dir.path().join("home")).unwrap();
        store.attached(&store.find("tiny").unwrap()).unwrap().len()
    };
    assert_eq!(there(&archive), 3);
    let other_kind = attached(&|listed| listed[0]["kind"] = json!("application/x"));
    assert_eq!(there(&other_kind), 2);
    // The image's own manifest has no subject.
    let members = members(&archive);
    let (_, index) = members.iter().find(|(path, _)| path == "index.json").unwrap();
    let index: Value = serde_json::from_slice(index).unwrap();
    let other_image =
        attached(&|listed| listed[0]["manifest"] = index["manifests"][0]["digest"].clone());
    assert_eq!(there(&other_image), 2);
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
