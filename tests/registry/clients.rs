//! Other people's clients take what ybox pushed, and ybox takes what they pushed.

use std::process::Command;

use ybox::image::Store;

use super::fixture::Project;
use super::run_standin;
use super::server::{Registry, have, home, told, ybox};

/// A registry with the image, and its manifest's digest.
fn pushed(project: &Project, registry: &Registry, name: &str) -> (String, String) {
    let built = project.build().unwrap().image;
    let place = registry.place(name);
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    told(&mut ybox(&project.path("home"), &push));
    (place, built.manifest.to_string())
}

#[test]
fn skopeo_and_umoci_take_what_ybox_pushed() {
    let Some(registry) = Registry::start() else { return };
    if !have("skopeo") || !have("umoci") {
        return;
    }
    let project = Project::new();
    let (place, digest) = pushed(&project, &registry, "team/tiny:v1");
    let dir = home();
    let layout = dir.path().join("layout");
    let (from, to) = (format!("docker://{place}"), format!("oci:{}:v1", layout.display()));
    told(
        Command::new("skopeo")
            .args(["copy", "--preserve-digests", "--src-tls-verify=false"])
            .args([&from, &to]),
    );
    let image = format!("{}:v1", layout.display());
    let stat = told(Command::new("umoci").args(["stat", "--json", "--image", &image]));
    assert!(stat.contains("history"), "{stat}");
    let inspect = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &from];
    assert_eq!(told(Command::new("skopeo").args(inspect)), digest);
}

#[test]
fn podman_takes_what_ybox_pushed() {
    let Some(registry) = Registry::start() else { return };
    if !have("podman") {
        return;
    }
    let project = Project::new();
    let (place, digest) = pushed(&project, &registry, "team/tiny:v1");
    let dir = home();
    let podman = |arguments: &[&str]| {
        let mut command = Command::new("podman");
        command.arg("--root").arg(dir.path().join("root")).arg("--runroot");
        command.arg(dir.path().join("run")).args(["--storage-driver=vfs"]).args(arguments);
        told(&mut command)
    };
    podman(&["pull", "--quiet", "--tls-verify=false", &place]);
    let format = "{{.Digest}}";
    assert_eq!(podman(&["image", "inspect", "--format", format, &place]), digest);
    podman(&["rmi", "--force", &place]);
}

#[test]
fn docker_takes_what_ybox_pushed() {
    let Some(registry) = Registry::start() else { return };
    let version = ["version", "--format", "{{.Server.Version}}"];
    let answers = Command::new("docker").args(version).output().is_ok_and(|o| o.status.success());
    if !answers {
        return println!("passed over: no Docker daemon answers");
    }
    let project = Project::new();
    let (place, digest) = pushed(&project, &registry, "team/tiny:v1");
    let pulled = Command::new("docker").args(["pull", &place]).output().unwrap();
    let said = String::from_utf8_lossy(&pulled.stderr).into_owned();
    // A daemon in a network of its own, as scripts/dockerd.sh starts one.
    let apart = ["connection refused", "network is unreachable"].iter().any(|w| said.contains(w));
    if !pulled.status.success() && apart {
        return println!("passed over: the Docker daemon does not see this machine's network");
    }
    assert!(pulled.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&pulled.stdout).contains(&digest));
    told(Command::new("docker").args(["rmi", &place]));
}

#[test]
fn ybox_takes_what_skopeo_pushed() {
    let Some(registry) = Registry::start() else { return };
    if !have("skopeo") {
        return;
    }
    let project = Project::new();
    let (place, digest) = pushed(&project, &registry, "team/tiny:v1");
    let dir = home();
    let layout = format!("oci:{}:v1", dir.path().join("layout").display());
    let copy = |arguments: &[&str]| {
        let insecure = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        told(Command::new("skopeo").args(insecure).args(arguments))
    };
    let from = format!("docker://{place}");
    copy(&[&from, &layout]);
    let same = registry.place("skopeo/same:v1");
    copy(&[&layout, &format!("docker://{same}")]);
    let to = home();
    let pulled = told(&mut ybox(to.path(), &["pull", &same, "--insecure"]));
    assert_eq!(pulled, format!("{same}@{digest}"));
}

#[test]
fn ybox_takes_docker_s_own_media_types() {
    let Some(registry) = Registry::start() else { return };
    if !have("skopeo") {
        return;
    }
    let dir = home();
    let layers = [run_standin::tar(&[("opt/ybox/configs/b.yaml", "model: b\n")])];
    run_standin::layered_image(dir.path(), "ybox/plain:v1", &layers, &serde_json::json!({}));
    let plain = registry.place("team/plain:v1");
    let push = ["push", &plain, "--insecure", "--image", "ybox/plain:v1"];
    told(&mut ybox(dir.path(), &push));
    let docker = registry.place("skopeo/docker:v1");
    let copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=v2s2"];
    let places = [&plain, &docker].map(|place| format!("docker://{place}"));
    told(Command::new("skopeo").args(copy).args(&places));
    let to = home();
    told(&mut ybox(to.path(), &["pull", &docker, "--insecure"]));
    let store = Store::under(to.path()).unwrap();
    let image = store.find(&docker).unwrap();
    assert!(store.check(&image).is_empty(), "{:?}", store.check(&image));
    assert_eq!(store.read_file(&image, "/opt/ybox/configs/b.yaml").unwrap(), b"model: b\n");
    let manifest = store.manifest(&image).unwrap();
    assert!(manifest.layers()[0].media_type().to_string().contains("docker"), "{manifest:?}");
}
