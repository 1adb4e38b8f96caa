//! Loading images: in full, by delta, and what an engine does with a delta that it can't complete.

use std::collections::BTreeSet;

use crate::bench::{Bench, host, store_with_probe};
use futures_util::StreamExt;
use ybox::engine::{Choice, Container, Docker, Engine, StopRequests};
use ybox::image::{Archive, Store, StoredImage};

/// Content that no other run of these tests has used.
pub fn unique(what: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{what} {now} {}", std::process::id())
}

fn runs(engine: &dyn Engine, bench: &Bench, image: &StoredImage) -> bool {
    let container = Container { image: image.clone(), ..bench.container(&["exit", "5"]) };
    let ended = engine.run(&container, &StopRequests::new(0), &mut |_| ());
    ended.is_ok_and(|ended| ended.code == 5)
}

fn docker(store: &Store) -> Docker {
    let address = host().docker.remove(0);
    Docker::connect("docker", &[address], &host(), store).unwrap()
}

fn remove_layer(bench: &Bench, store: &Store, image: &StoredImage, which: usize) {
    let layer = &store.layers(image).unwrap()[which];
    let blob = bench.home.path().join("other/store/blobs/sha256").join(layer.digest.hex());
    std::fs::remove_file(blob).unwrap();
}

/// An image that has the layers of the bench's and one more.
fn image_with_one_more_layer(bench: &Bench) -> (Store, StoredImage) {
    let home = bench.home.path().join("other");
    store_with_probe(&home, &["the probe's layers", &unique("one more")])
}

#[test]
fn an_image_that_is_not_loaded_is_refused_with_what_to_do() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    let container = Container { image, ..bench.container(&[]) };
    let failure = docker(&store).run(&container, &StopRequests::new(0), &mut |_| ()).unwrap_err();
    assert_eq!(failure.exit, 1);
    assert!(failure.what.contains("is not loaded"), "{failure}");
}

#[test]
fn layers_that_the_engine_has_are_left_out() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    let engine = docker(&store);
    // Without this blob only an archive that leaves it out can be made.
    remove_layer(&bench, &store, &image, 0);
    engine.prepare(&image).unwrap();
    assert!(runs(&engine, &bench, &image));
    engine.prepare(&image).unwrap();
}

#[test]
fn nothing_is_left_out_that_the_engine_lacks() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    remove_layer(&bench, &store, &image, 2);
    let failure = docker(&store).prepare(&image).unwrap_err();
    assert!(failure.what.contains("cannot load ybox/probe"), "{failure}");
}

/// What falling back to a full load relies on.
#[test]
fn a_delta_that_lacks_a_layer_is_refused_and_leaves_nothing_behind() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    let engine = docker(&store);
    let all: BTreeSet<_> = store.layers(&image).unwrap().iter().map(|l| l.diff_id).collect();
    let delta = Archive::new(&store, &image, &all).unwrap();
    let address = host().docker.remove(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sent = runtime.block_on(async {
        let api = bollard::Docker::connect_with_host(&address).unwrap();
        let api = api.negotiate_version().await.unwrap();
        let options = bollard::query_parameters::ImportImageOptions::default();
        let answers = api.import_image_stream(options, delta.into_stream(), None);
        answers.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>()
    });
    assert!(sent.is_err());
    assert!(!runs(&engine, &bench, &image));
    engine.prepare(&image).unwrap();
    assert!(runs(&engine, &bench, &image));
}

#[test]
fn a_damaged_store_does_not_reach_the_engine() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    let layer = store.layers(&image).unwrap()[2].digest.hex();
    let blob = bench.home.path().join("other/store/blobs/sha256").join(layer);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1100] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let engine = docker(&store);
    assert!(engine.prepare(&image).is_err());
    assert!(!runs(&engine, &bench, &image));
}

#[test]
fn the_embedded_runner_refuses_a_damaged_store() {
    let Some(bench) = Bench::new(Choice::Embedded) else { return };
    let (store, image) = image_with_one_more_layer(&bench);
    remove_layer(&bench, &store, &image, 2);
    let host = ybox::engine::Host { docker: Vec::new(), ..host() };
    let engine = ybox::engine::select(Choice::Embedded, &host, &store).unwrap().engine;
    assert!(engine.prepare(&image).is_err());
}
