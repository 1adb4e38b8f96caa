//! Answers that are far too large: none is read whole, whatever the registry says of its length.

use std::process::Command;
use std::sync::Arc;

use super::fixture::Project;
use super::proxy::{Fault, Proxy, Request};
use super::server::{Registry, home, refused_within, told, ybox};

const MANIFEST: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
const INDEX: &str = "Content-Type: application/vnd.oci.image.index.v1+json\r\n";
/// Honest, silent, silent until the connection ends, and lying.
const LENGTHS: [&str; 4] =
    ["Content-Length: 1073741824", "Transfer-Encoding: chunked", "X: y", "Content-Length: 100"];
/// Far less than what comes, and more than a debug build needs.
const MOST: u64 = 96 << 20;

/// What the command says, which fails with little memory.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let (_, said, peak) = refused_within(command);
    println!("{} MB: {}", peak >> 20, said.lines().next().unwrap_or_default());
    assert!(peak < MOST, "{} MB for `{said}`", peak >> 20);
    said
}

fn pull(place: &str) -> String {
    refused(&mut ybox(home().path(), &["pull", place, "--insecure"]))
}

#[test]
fn a_gigabyte_of_a_manifest_or_index_is_refused() {
    for kind in [MANIFEST, INDEX] {
        for length in LENGTHS {
            let proxy = Proxy::start(1, move |_, request| match request.path.as_str() {
                "/v2/" => Fault::Status(200, "X: y"),
                _ => Fault::Flood(200, format!("{kind}{length}")),
            });
            let said = pull(&proxy.place("a/b:v1"));
            let lies = length.ends_with(" 100");
            let why =
                if lies { "is not what ybox can read" } else { "is larger than the 4194304 bytes" };
            assert!(said.contains(why), "{length}: {said}");
        }
    }
}

/// A registry that has an image as `a/b:v1`.
fn with_an_image() -> Option<Registry> {
    let registry = Registry::start()?;
    let project = Project::new();
    project.build().unwrap();
    let push = ["push", &registry.place("a/b:v1"), "--insecure", "--image", "ybox/tiny"];
    told(&mut ybox(&project.path("home"), &push));
    Some(registry)
}

#[test]
fn a_gigabyte_of_referrers_is_refused() {
    let Some(registry) = with_an_image() else { return };
    // Through the API, and under the tag that stands in for it.
    for list in ["/referrers/", "/manifests/sha256-"] {
        for length in LENGTHS {
            let is_list =
                move |request: &Request| request.path.contains(list) && !request.path.contains('.');
            let proxy = Proxy::start(registry.port, move |_, request| match is_list(request) {
                true => Fault::Flood(200, format!("{INDEX}{length}")),
                false => Fault::None,
            });
            pull(&proxy.place("a/b:v1"));
        }
    }
}

#[test]
fn gigabytes_around_the_documents_are_not_read() {
    let tokens = Proxy::start(1, |_, _| Fault::Flood(200, LENGTHS[1].into()));
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n{}", LENGTHS[1]);
    let proxy = Proxy::start(1, move |_, _| Fault::Flood(401, challenge.clone()));
    let said = pull(&proxy.place("a/b:v1"));
    assert!(said.contains("the token"), "{said}");
    for status in [403, 400, 404] {
        let proxy = Proxy::start(1, move |_, request| match request.path.as_str() {
            "/v2/" => Fault::Flood(200, LENGTHS[1].into()),
            _ => Fault::Flood(status, LENGTHS[1].into()),
        });
        pull(&proxy.place("a/b:v1"));
    }
}

#[test]
fn pages_of_referrers_without_an_end_are_refused() {
    let Some(registry) = with_an_image() else { return };
    let entry = format!(r#"{{"mediaType":"a","digest":"sha256:{}","size":1}}"#, "0".repeat(64));
    let entries = vec![entry; 30_000].join(",");
    let page = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
    let page = Arc::new(page.into_bytes());
    let headers = format!("{INDEX}Link: </v2/a/b/referrers/more>; rel=\"next\"");
    let proxy =
        Proxy::start(registry.port, move |_, request| match request.path.contains("/referrers/") {
            true => Fault::Answer(headers.clone(), page.clone()),
            false => Fault::None,
        });
    let said = pull(&proxy.place("a/b:v1"));
    assert!(said.contains("is larger than the 4194304 bytes"), "{said}");
}
