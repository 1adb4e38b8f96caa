//! Uploads to registries that refuse or lose things: what can be gone on with is, what cannot is told
//! as it is.

use std::fs::File;
use std::time::Duration;

use ybox::registry::{Place, Pushed, RegistryError, connect};
use ybox::settings::{Downloads, RegistryFlags, Settings};
use ybox::ui::download::Bar;
use ybox_spec::Digest;

use super::fixture::Project;
use super::proxy::{Fault, Proxy};
use super::server::{Registry, home, told, ybox};

/// A registry that takes no blob: `to_upload` says what it answers to an upload that has begun.
fn stand_in(to_upload: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Proxy {
    Proxy::start(1, move |_, request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v2/") => Fault::Status(200, "X: y"),
        ("HEAD", _) => Fault::Status(404, "X: y"),
        ("POST", _) => Fault::Status(202, "Location: /v2/a/b/blobs/uploads/1"),
        (method, _) => to_upload(method),
    })
}

/// Pushes a file of so many zeros.
fn push_zeros(proxy: &Proxy, size: u64) -> Result<Pushed, Box<RegistryError>> {
    let dir = home();
    let path = dir.path().join("zeros");
    File::create(&path).unwrap().set_len(size).unwrap();
    let digest = Digest::of_file(&path).unwrap().0;
    let downloads = Downloads { retry_delay: Duration::from_millis(1), ..Downloads::default() };
    let settings = Settings { downloads, ..Settings::of_home(dir.path().into()) };
    let place: Place = proxy.place("a/b").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pushed = runtime.block_on(async {
        let flags = RegistryFlags { insecure: true };
        let repository = connect(&settings, &place, flags).await?;
        repository.push_file((&digest, size), &path, &[], &Bar::hidden()).await
    });
    pushed.map_err(Box::new)
}

fn count(proxy: &Proxy, method: &str) -> usize {
    proxy.requests().iter().filter(|request| request.method == method).count()
}

#[test]
fn an_upload_that_gets_no_further_ends() {
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let proxy = stand_in(move |method| match method {
        "PATCH" if sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 20 => {
            Fault::Status(202, "Location: /v2/a/b/blobs/uploads/1\r\nRange: 0-0")
        }
        "GET" => Fault::Status(204, "Range: 0-0"),
        _ => Fault::Status(400, "X: y"),
    });
    let said = push_zeros(&proxy, (64 << 20) + 1).unwrap_err().to_string();
    assert!(said.ends_with("the registry lost what it had been sent"), "{said}");
    assert_eq!(count(&proxy, "PATCH"), 6);
}

#[test]
fn a_registry_that_loses_uploads_is_told_as_that() {
    let proxy = stand_in(|_| Fault::Status(404, "X: y"));
    let error = push_zeros(&proxy, 1000).unwrap_err();
    let said = error.to_string();
    assert!(said.ends_with("the registry lost what it had been sent"), "{said}");
    assert_eq!(count(&proxy, "PUT"), 6);
}

#[test]
fn what_is_refused_for_good_is_not_asked_about_again() {
    let proxy = stand_in(|_| Fault::Status(403, "X: y"));
    let error = push_zeros(&proxy, 1000).unwrap_err();
    assert!(matches!(*error, RegistryError::Denied { .. }), "{error}");
    assert_eq!((count(&proxy, "PUT"), count(&proxy, "GET")), (1, 1), "a greeting alone is a GET");
}

#[test]
fn where_a_mount_is_refused_the_blob_is_sent() {
    let Some(registry) = Registry::start() else { return };
    let project = Project::new();
    project.build().unwrap();
    let push = |place: &str| {
        let arguments = ["push", place, "--insecure", "--image", "ybox/tiny", "--json"];
        let json = told(&mut ybox(&project.path("home"), &arguments));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["bytes"].clone()
    };
    for status in [401, 403, 404] {
        let proxy =
            Proxy::start(registry.port, move |_, request| match request.path.contains("mount=") {
                true => Fault::Status(status, "X: y"),
                false => Fault::None,
            });
        push(&proxy.place("team/tiny:v1"));
        let bytes = push(&proxy.place(&format!("other/tiny{status}:v1")));
        assert_eq!(bytes["mounted"], 0);
        assert!(bytes["sent"].as_u64().unwrap() > 0, "{bytes}");
        assert!(proxy.requests().iter().any(|request| request.path.contains("mount=")));
    }
}

#[test]
fn an_upload_of_which_nothing_arrived_begins_anew() {
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let proxy = stand_in(move |method| match method {
        "PUT" if sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Fault::HangUp,
        "PUT" => Fault::Status(201, "X: y"),
        _ => Fault::Status(204, "Range: 0-0"),
    });
    assert_eq!(push_zeros(&proxy, 10).unwrap(), Pushed::Sent);
    assert_eq!((count(&proxy, "POST"), count(&proxy, "PUT")), (2, 2));
}
