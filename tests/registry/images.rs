//! Pushing and pulling images: what is there is not sent again, a tag can be pinned, and what comes
//! back is what went.

use std::fs;

use ybox::image::Store;

use super::fixture::Project;
use super::server::{Registry, home, refused, told, unfinished, ybox};

#[test]
fn what_was_pushed_comes_back_bit_for_bit() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    let built = project.build().unwrap().image;
    let (from, place) = (project.path("home"), registry.place("team/tiny:v1"));
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    assert_eq!(told(&mut ybox(&from, &push)), format!("{place}@{}", built.manifest));
    // The image has the name here, too: from now on the name is enough.
    told(&mut ybox(&from, &["push", &place, "--insecure"]));
    let to = home();
    let pinned = told(&mut ybox(to.path(), &["pull", &place, "--insecure"]));
    assert_eq!(pinned, format!("{place}@{}", built.manifest));
    let store = Store::under(to.path()).unwrap();
    let image = store.find(&place).unwrap();
    assert_eq!((image.manifest, image.config), (built.manifest, built.config));
    assert!(store.check(&image).is_empty());
    assert_eq!(unfinished(to.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn only_what_changed_is_transferred() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    project.build().unwrap();
    let from = project.path("home");
    let place = registry.place("team/tiny:v1");
    let push = |place: &str| {
        let arguments = ["push", place, "--insecure", "--image", "ybox/tiny", "--json"];
        let json = told(&mut ybox(&from, &arguments));
        let bytes = serde_json::from_str::<serde_json::Value>(&json).unwrap()["bytes"].clone();
        ["sent", "mounted", "there"].map(|key| bytes[key].as_u64().unwrap())
    };
    let [all, 0, 0] = push(&place) else { panic!("the first push sends all") };
    assert_eq!(push(&place), [0, 0, all]);
    assert_eq!(push(&registry.place("other/tiny:v1")), [0, all, 0]);
    let to = home();
    told(&mut ybox(to.path(), &["pull", &place, "--insecure"]));
    fs::write(project.path("configs/a.yaml"), "model: c\n").unwrap();
    project.build().unwrap();
    let [sent, 0, there] = push(&place) else { panic!("nothing to mount") };
    assert!(sent < 2000 && there > sent, "{sent} sent, {there} there");
    let json = told(&mut ybox(to.path(), &["pull", &place, "--insecure", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["received"], sent);
}

#[test]
fn a_tag_that_moves_is_pinned_by_its_digest() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    let first = project.build().unwrap().image;
    let (from, place) = (project.path("home"), registry.place("team/tiny"));
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    let pinned = told(&mut ybox(&from, &push));
    fs::write(project.path("configs/a.yaml"), "model: c\n").unwrap();
    let second = project.build().unwrap().image;
    told(&mut ybox(&from, &push));
    let to = home();
    assert!(
        told(&mut ybox(to.path(), &["pull", &place, "--insecure"]))
            .ends_with(&second.manifest.to_string())
    );
    assert_eq!(told(&mut ybox(to.path(), &["pull", &pinned, "--insecure"])), pinned);
    let store = Store::under(to.path()).unwrap();
    assert_eq!(store.find(&first.config.to_string()).unwrap().manifest, first.manifest);
}

#[test]
fn damage_is_mended_by_pulling_and_named_by_pushing() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    let built = project.build().unwrap();
    let (from, place) = (project.path("home"), registry.place("team/tiny:v1"));
    told(&mut ybox(&from, &["push", &place, "--insecure", "--image", "ybox/tiny"]));
    let layer = project.path("home/store/blobs/sha256").join(built.layers[1].digest.hex());
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    let other = Registry::start().unwrap();
    let push = ["push", &other.place("x/tiny"), "--insecure", "--image", "ybox/tiny"];
    let (code, said) = refused(&mut ybox(&from, &push));
    assert_eq!(code, 1);
    assert!(said.contains("no longer has the content"), "{said}");
    told(&mut ybox(&from, &["pull", &place, "--insecure"]));
    told(&mut ybox(&from, &push));
}

#[test]
fn what_is_not_there_is_said() {
    let Some(registry) = Registry::start() else { return };
    let to = home();
    let pull = |place: &str| refused(&mut ybox(to.path(), &["pull", place, "--insecure"]));
    let (code, said) = pull(&registry.place("team/none:v1"));
    assert_eq!(
        (code, said.lines().next()),
        (1, Some(&*format!("error: there is no {}", registry.place("team/none:v1"))))
    );
    let (code, said) = pull("ybox/cpu");
    assert_eq!(code, 2);
    assert!(said.contains("names no registry") && said.contains("HOST/ybox/cpu"), "{said}");
    let (_, said) = refused(&mut ybox(to.path(), &["push", &registry.place("a"), "--insecure"]));
    assert!(said.contains("--image NAME"), "{said}");
    let (_, said) = refused(&mut ybox(to.path(), &["pull", "127.0.0.1:1/a", "--insecure"]));
    assert!(said.contains("cannot talk to the registry 127.0.0.1:1"), "{said}");
    let offline = ["pull", &registry.place("a"), "--insecure", "--offline"];
    assert_eq!(refused(&mut ybox(to.path(), &offline)).0, 1);
}

#[test]
fn a_push_to_a_digest_gives_no_tag() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    let built = project.build().unwrap().image;
    let (from, place) = (project.path("home"), registry.place("team/tiny"));
    let pinned = format!("{place}@{}", built.manifest);
    let push = ["push", &pinned, "--insecure", "--image", "ybox/tiny"];
    assert_eq!(told(&mut ybox(&from, &push)), pinned);
    let said = told(&mut ybox(&from, &[&push[..], &["--json"]].concat()));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["reference"], *pinned);
    let to = home();
    refused(&mut ybox(to.path(), &["pull", &place, "--insecure"]));
    assert_eq!(told(&mut ybox(to.path(), &["pull", &pinned, "--insecure"])), pinned);
}
