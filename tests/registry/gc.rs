//! Tidying up: nothing that an image, a run or a lock needs goes, and nothing while somebody is at
//! work.

use std::fs;
use std::path::Path;

use serde_json::Value;
use ybox::image::{IN_TOTO, LOCK, SPDX, Store, StoredImage};
use ybox_spec::config::Task;

use super::faults::nothing_wrong_is_visible;
use super::fixture::Project;
use super::run_standin::Place;
use super::server::{refused, told, ybox};

/// Builds twice: the first image's name moves on to the second.
fn built_twice() -> (Project, StoredImage, StoredImage) {
    let project = Project::new();
    let first = project.build().unwrap().image;
    fs::write(project.path("configs/a.yaml"), "model: c\n").unwrap();
    let second = project.build().unwrap().image;
    (project, first, second)
}

fn gc(home: &Path, flags: &[&str]) -> Value {
    let json = told(&mut ybox(home, &[&["gc", "--json"], flags].concat()));
    serde_json::from_str(&json).unwrap()
}

fn count(report: &Value) -> usize {
    report["items"].as_array().unwrap().len()
}

#[test]
fn what_interrupted_work_left_goes_and_images_stay() {
    let (project, first, second) = built_twice();
    let home = project.path("home");
    let stray = home.join("store/blobs/sha256").join("a".repeat(64));
    fs::write(&stray, vec![1; 10_000]).unwrap();
    fs::write(home.join("store/tmp/b.part"), "half").unwrap();
    let shown = gc(&home, &[]);
    assert_eq!((count(&shown), &shown["removed"]), (2, &Value::Bool(false)));
    assert!(stray.exists() && shown["bytes"].as_u64().unwrap() >= 10_000, "{shown}");
    gc(&home, &["--yes"]);
    assert!(!stray.exists());
    assert_eq!(count(&gc(&home, &[])), 0);
    nothing_wrong_is_visible(&home);
    let store = project.store();
    for image in [&first, &second] {
        assert!(store.find(&image.config.to_string()).is_ok());
    }
}

#[test]
fn a_former_image_goes_when_asked_and_takes_its_unpacked_form_along() {
    let (project, first, second) = built_twice();
    let home = project.path("home");
    let roots = {
        let store = project.store();
        [&first, &second].map(|image| {
            let image = store.find(&image.config.to_string()).unwrap();
            store.unpack(&image).unwrap().root
        })
    };
    let shown = gc(&home, &["--former"]);
    assert_eq!(shown["images"].as_array().unwrap().len(), 1);
    gc(&home, &["--former", "--yes"]);
    assert_eq!(roots.map(|root| root.is_dir()), [false, true]);
    nothing_wrong_is_visible(&home);
    let store = project.store();
    assert!(store.find(&first.config.to_string()).is_err());
    // What is left still runs, and is built on.
    let image = store.find("ybox/tiny").unwrap();
    assert_eq!(image.config, second.config);
    assert_eq!(store.unpack(&image).unwrap().mended, None);
    drop(store);
    assert!(project.build().unwrap().layers.iter().all(|layer| layer.reused));
    // What is attached to the image that stays has stayed, too.
    let store = project.store();
    assert!(!store.attached(&image).unwrap().is_empty());
    for kind in [SPDX, IN_TOTO, LOCK] {
        assert!(store.attached_document(&image, kind).unwrap().is_some(), "{kind}");
    }
}

#[test]
fn an_image_that_a_run_has_stays() {
    let place = Place::new();
    let settings = ["data=data/data.yaml", "epochs=1", "imgsz=320", "numerics=fast"];
    place.run(Task::Train, &settings).unwrap();
    let image = place.store().find("ybox/cpu").unwrap();
    // Its name moves on, as when another image is built.
    let index = place.home().join("store/index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("org.opencontainers.image.ref.name", "ybox.former-name"))
        .unwrap();
    gc(&place.home(), &["--former", "--yes"]);
    assert!(place.store().find(&image.config.to_string()).is_ok());
    fs::remove_dir_all(place.work().join("runs")).unwrap();
    gc(&place.home(), &["--former", "--yes"]);
    assert!(place.store().find(&image.config.to_string()).is_err());
}

#[test]
fn nothing_goes_while_somebody_uses_the_store() {
    let (project, ..) = built_twice();
    let home = project.path("home");
    let store = Store::under(&home).unwrap();
    let (code, said) = refused(&mut ybox(&home, &["gc", "--yes", "--former"]));
    assert_eq!(code, 1);
    assert!(said.contains("another ybox is using the image store"), "{said}");
    gc(&home, &["--former"]);
    drop(store);
    gc(&home, &["--yes", "--former"]);
}

#[test]
fn downloads_that_a_lock_names_stay() {
    let (project, ..) = built_twice();
    let home = project.path("home");
    let cache = home.join("cache/sha256");
    let before = fs::read_dir(&cache).unwrap().count();
    fs::write(cache.join("c".repeat(64)), "of no lock").unwrap();
    let project_folder = project.path("");
    let flags = ["--downloads", "--yes", "--project", project_folder.to_str().unwrap()];
    assert_eq!(count(&gc(&home, &flags)), 1);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), before);
}

#[test]
fn downloads_that_go_on_stay() {
    let (project, ..) = built_twice();
    let home = project.path("home");
    let cache = home.join("cache/sha256");
    let file = |ending: &str| cache.join(format!("{}.{ending}", "d".repeat(64)));
    fs::write(file("part"), "half").unwrap();
    let lock = fs::File::create(file("lock")).unwrap();
    lock.lock().unwrap();
    let project_folder = project.path("");
    let flags = ["--downloads", "--yes", "--project", project_folder.to_str().unwrap()];
    assert_eq!(count(&gc(&home, &flags)), 0);
    assert!(file("part").exists() && file("lock").exists());
    drop(lock);
    assert_eq!(count(&gc(&home, &flags)), 2);
    assert!(!file("part").exists() && !file("lock").exists());
}
