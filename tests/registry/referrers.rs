//! What is attached to an image, through the list of referrers and through the tag that stands in for
//! it.

use ybox::image::Store;

use super::fixture::Project;
use super::proxy::{Fault, Proxy, Request};
use super::server::{Registry, home, told, ybox};

/// A project whose image is pushed to `place`.
fn pushed(place: &str) -> Project {
    let project = Project::new();
    project.build().unwrap();
    let push = ["push", place, "--insecure", "--image", "ybox/tiny"];
    told(&mut ybox(&project.path("home"), &push));
    project
}

/// Kinds of what comes along with the image at `place`.
fn pulled(place: &str) -> Vec<String> {
    let to = home();
    told(&mut ybox(to.path(), &["pull", place, "--insecure"]));
    attached(&Store::under(to.path()).unwrap(), place)
}

fn attached(store: &Store, name: &str) -> Vec<String> {
    let artifacts = store.artifacts(&store.find(name).unwrap()).unwrap();
    let mut kinds: Vec<_> = artifacts.iter().map(|a| a.kind().to_owned()).collect();
    kinds.sort();
    kinds
}

fn is_fallback(request: &Request) -> bool {
    request.path.contains("/manifests/sha256-") && !request.path.contains('.')
}

#[test]
fn documents_come_along_from_every_kind_of_registry() {
    for registry in Registry::kinds() {
        let place = registry.place("a/b:v1");
        let project = pushed(&place);
        let here = attached(&project.store(), "ybox/tiny");
        assert_eq!(here.len(), 3);
        assert_eq!(pulled(&place), here);
        // Once more: nothing is attached twice.
        told(&mut ybox(&project.path("home"), &["push", &place, "--insecure"]));
        assert_eq!(pulled(&place), here);
    }
}

#[test]
fn a_registry_that_sees_to_its_list_gets_no_tag_in_its_place() {
    let Some(registry) = Registry::with_referrers() else { return };
    // This one keeps the list, but does not say so when it is sent something.
    let proxy = Proxy::start(registry.port, |_, request| match request.method.as_str() {
        "PUT" if request.path.contains("/manifests/") => Fault::Header("OCI-Subject: sha256:0"),
        _ => Fault::None,
    });
    let place = proxy.place("a/b:v1");
    let project = pushed(&place);
    assert_eq!(pulled(&place), attached(&project.store(), "ybox/tiny"));
    let requests = proxy.requests();
    assert!(!requests.iter().any(is_fallback), "{requests:?}");
    assert!(requests.iter().any(|request| request.path.contains("/referrers/")));
}
