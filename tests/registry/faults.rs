//! What goes wrong on the way: passing trouble is waited out, transfers go on where they broke off,
//! and what is wrong is never seen under its name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ybox::image::{Store, StoredImage};

use super::fixture::{Compression, Project, deb, ordinary_members, wheel};
use super::proxy::{Fault, Proxy};
use super::server::{Registry, home, refused, told, unfinished, ybox};

/// An image with a layer of a few megabytes that no compression makes smaller.
pub fn large(megabytes: usize) -> (Project, StoredImage) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(megabytes << 17)
    .flatten()
    .collect();
    let wheel = wheel(&[("beta/lib/beta.so", 0o755, &noise)]);
    let project = Project::with(&deb(&ordinary_members(), Compression::None), &wheel);
    let image = project.build().unwrap().image;
    (project, image)
}

/// Of the image's layers, the largest first.
fn digests(project: &Project, image: &StoredImage) -> Vec<ybox_spec::Digest> {
    let mut layers = project.store().layers(image).unwrap();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    layers.iter().map(|layer| layer.digest).collect()
}

pub fn push(project: &Project, place: &str) -> std::process::Command {
    ybox(&project.path("home"), &["push", place, "--insecure", "--image", "ybox/tiny"])
}

#[track_caller]
pub fn check(home: &Path, image: &StoredImage) {
    let store = Store::under(home).unwrap();
    let found = store.find(&image.config.to_string()).unwrap();
    assert_eq!(found.manifest, image.manifest);
    assert!(store.check(&found).is_empty());
}

/// Nothing of a blob may be seen under its name unless it is right.
#[track_caller]
pub fn nothing_wrong_is_visible(home: &Path) {
    let Ok(blobs) = std::fs::read_dir(home.join("store/blobs/sha256")) else { return };
    for blob in blobs {
        let path = blob.unwrap().path();
        let (digest, _) = ybox_spec::Digest::of_file(&path).unwrap();
        assert_eq!(digest.hex(), path.file_name().unwrap().to_str().unwrap());
    }
    for image in Store::under(home).unwrap().images().unwrap() {
        let problems = Store::under(home).unwrap().check(&image);
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn a_pull_goes_on_where_it_broke_off() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(3);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let large = digests(&project, &image)[0].to_string();
    let cuts = AtomicUsize::new(0);
    let proxy = Proxy::start(registry.port, move |_, request| {
        let of_it = request.reads_blob() && request.path.ends_with(&large);
        let first = of_it && cuts.fetch_add(1, Ordering::SeqCst) < 3;
        if first { Fault::CutAnswer(700_000) } else { Fault::None }
    });
    let to = home();
    told(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
    let ranges: Vec<_> = proxy.requests().into_iter().filter(|r| !r.range.is_empty()).collect();
    assert!(ranges.iter().any(|r| r.range == "bytes=1400000-"), "{ranges:?}");
}

#[test]
fn an_interrupted_pull_is_gone_on_with_by_the_next() {
    let Some(mut registry) = Registry::start() else { return };
    let (project, image) = large(4);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let slow = Proxy::start(registry.port, |_, request| match request.reads_blob() {
        true => Fault::Slow(Duration::from_millis(30)),
        false => Fault::None,
    });
    let to = home();
    let mut pull = ybox(to.path(), &["pull", &slow.place("a/b:v1"), "--insecure"]).spawn().unwrap();
    let part = || {
        let parts = unfinished(to.path());
        let sizes = parts.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len());
        sizes.max().unwrap_or(0)
    };
    while part() < 500_000 {
        std::thread::sleep(Duration::from_millis(5));
    }
    pull.kill().unwrap();
    pull.wait().unwrap();
    nothing_wrong_is_visible(to.path());
    assert!(Store::under(to.path()).unwrap().images().unwrap().is_empty());
    registry.restart();
    let proxy = Proxy::start(registry.port, |_, _| Fault::None);
    told(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
    assert!(proxy.requests().iter().any(|request| !request.range.is_empty()));
}

#[test]
fn a_push_survives_broken_connections() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(3);
    let cuts = AtomicUsize::new(0);
    let proxy = Proxy::start(registry.port, move |_, request| {
        let upload = ["PUT", "PATCH"].contains(&request.method.as_str());
        let first = upload && cuts.fetch_add(1, Ordering::SeqCst) < 4;
        if first { Fault::CutRequest(500_000) } else { Fault::None }
    });
    told(&mut push(&project, &proxy.place("a/b:v1")));
    let to = home();
    told(&mut ybox(to.path(), &["pull", &registry.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
}

#[test]
fn a_push_whose_readers_leave_goes_on() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(1);
    let nobody = || std::io::pipe().unwrap().1;
    let mut push = push(&project, &registry.place("a/b:v1"));
    assert!(push.stdout(nobody()).stderr(nobody()).status().unwrap().success());
    let to = home();
    told(&mut ybox(to.path(), &["pull", &registry.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
    let output = ybox(to.path(), &["images"]).stdout(nobody()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_busy_registry_is_waited_for_as_long_as_it_asks() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(1);
    let asked = Mutex::new(HashMap::<String, u32>::new());
    let proxy = Proxy::start(registry.port, move |_, request| {
        if request.path == "/v2/" {
            return Fault::None;
        }
        let mut asked = asked.lock().unwrap();
        let before = asked.entry(format!("{} {}", request.method, request.path)).or_default();
        *before += 1;
        match *before {
            1 if request.path.ends_with("/manifests/v1") => Fault::Status(429, "Retry-After: 1"),
            1 => Fault::Status(429, "Retry-After: 0"),
            2 => Fault::Status(503, "Retry-After: 0"),
            _ => Fault::None,
        }
    });
    let start = Instant::now();
    told(&mut push(&project, &proxy.place("a/b:v1")));
    assert!(start.elapsed() >= Duration::from_secs(1));
    let to = home();
    told(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
}

#[test]
fn a_registry_that_stays_broken_is_told() {
    let Some(registry) = Registry::start() else { return };
    let proxy = Proxy::start(registry.port, |_, request| match request.path.as_str() {
        "/v2/" => Fault::None,
        _ => Fault::Status(500, "Retry-After: 0"),
    });
    let to = home();
    let (code, said) =
        refused(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    assert_eq!(code, 2);
    assert!(
        said.contains("the registry answered 500") && said.contains("hint: try again"),
        "{said}"
    );
    // One that wants more patience than anybody has is not waited for.
    let proxy = Proxy::start(registry.port, |_, request| match request.path.as_str() {
        "/v2/" => Fault::None,
        _ => Fault::Status(429, "Retry-After: 3600"),
    });
    let start = Instant::now();
    refused(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn wrong_content_is_refused_and_not_kept() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(1);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let lying = Arc::new(AtomicBool::new(true));
    let lies = lying.clone();
    let proxy = Proxy::start(registry.port, move |_, request| {
        let lie = request.reads_blob() && lies.load(Ordering::SeqCst);
        if lie { Fault::Corrupt } else { Fault::None }
    });
    let to = home();
    let pull = ["pull", &proxy.place("a/b:v1"), "--insecure"];
    let (code, said) = refused(&mut ybox(to.path(), &pull));
    assert_eq!(code, 1);
    assert!(
        said.contains("has the wrong content") && said.contains("nothing of it was kept"),
        "{said}"
    );
    nothing_wrong_is_visible(to.path());
    assert!(Store::under(to.path()).unwrap().images().unwrap().is_empty());
    lying.store(false, Ordering::SeqCst);
    told(&mut ybox(to.path(), &pull));
    check(to.path(), &image);
    // A manifest that is not what its digest says, by tag and by digest.
    let proxy = Proxy::start(registry.port, |_, request| {
        let manifest = request.method == "GET" && request.path.contains("/manifests/");
        if manifest { Fault::Corrupt } else { Fault::None }
    });
    for name in ["a/b:v1".to_owned(), format!("a/b@{}", image.manifest)] {
        let (code, said) =
            refused(&mut ybox(to.path(), &["pull", &proxy.place(&name), "--insecure"]));
        assert_eq!(code, 1);
        assert!(said.contains("has the wrong content"), "{said}");
    }
}

#[test]
fn a_tag_that_moves_during_a_pull_changes_nothing() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(1);
    let place = registry.place("a/b:v1");
    told(&mut push(&project, &place));
    let other = Project::new();
    other.build().unwrap();
    let (home_of_other, moved) = (other.path("home"), AtomicBool::new(false));
    let proxy = Proxy::start(registry.port, move |_, request| {
        if request.reads_blob() && !moved.swap(true, Ordering::SeqCst) {
            let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
            told(&mut ybox(&home_of_other, &push));
        }
        Fault::None
    });
    let to = home();
    let pulled = told(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    assert!(pulled.ends_with(&image.manifest.to_string()), "{pulled}");
    check(to.path(), &image);
}

#[test]
fn two_pulls_at_once_share_the_work() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(3);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let proxy = Proxy::start(registry.port, |_, request| match request.reads_blob() {
        true => Fault::Slow(Duration::from_millis(10)),
        false => Fault::None,
    });
    let to = home();
    let place = proxy.place("a/b:v1");
    let pulls: Vec<_> =
        (0..3).map(|_| ybox(to.path(), &["pull", &place, "--insecure"]).spawn().unwrap()).collect();
    for mut pull in pulls {
        assert!(pull.wait().unwrap().success());
    }
    check(to.path(), &image);
    for layer in digests(&project, &image) {
        let of_it = |path: &str| path.ends_with(&layer.to_string());
        let requests = proxy.requests();
        let read = requests.iter().filter(|r| r.reads_blob() && of_it(&r.path)).count();
        assert_eq!(read, 1, "each layer is fetched once");
    }
}

#[test]
fn a_greeting_that_breaks_off_is_sent_again() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(1);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let greetings = AtomicUsize::new(0);
    let proxy = Proxy::start(registry.port, move |_, request| {
        let first = request.path == "/v2/" && greetings.fetch_add(1, Ordering::SeqCst) == 0;
        if first { Fault::HangUp } else { Fault::None }
    });
    let to = home();
    told(&mut ybox(to.path(), &["pull", &proxy.place("a/b:v1"), "--insecure"]));
    check(to.path(), &image);
}
