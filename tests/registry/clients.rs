//! Other people's clients take what ybox pushed, and ybox takes what they pushed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ybox::image::Store;

use super::fixture::Project;
use super::run_standin;
use super::server::{Registry, have, home, told, ybox};

/// The first version of Docker that pulls layers in zstd.
const READS_ZSTD: u32 = 23;

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
    let Some(version) = docker_version() else {
        return println!("passed over: no Docker daemon answers");
    };
    let network = private_network();
    if network.is_some() && !rustix::process::geteuid().is_root() {
        return println!("passed over: only root gets into the Docker daemon's network");
    }
    let project = Project::new();
    let (mut place, mut digest) = pushed(&project, &registry, "team/tiny:v1");
    if version < READS_ZSTD {
        (place, digest) = pushed_as_gzip(&project, &registry);
    }
    let _there = network.map(|network| registry.serve_in(&network));
    let said = docker_pull(&place);
    assert!(said.contains(&digest), "{said}");
    told(Command::new("docker").args(["rmi", &place]));
}

/// The daemon's major version; nothing where none answers.
fn docker_version() -> Option<u32> {
    let version = ["version", "--format", "{{.Server.Version}}"];
    let output = Command::new("docker").args(version).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.split('.').next()?.parse().ok()
}

/// What Docker says; a registry that was only just started may not listen yet.
fn docker_pull(place: &str) -> String {
    let start = Instant::now();
    loop {
        let pulled = Command::new("docker").args(["pull", place]).output().unwrap();
        let said = [pulled.stdout, pulled.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        if pulled.status.success() {
            return said;
        }
        let waiting = start.elapsed() < Duration::from_secs(20);
        assert!(waiting && said.contains("connection refused"), "{said}");
        sleep(Duration::from_millis(100));
    }
}

/// The image as it is after its way through an archive.
fn pushed_as_gzip(project: &Project, registry: &Registry) -> (String, String) {
    let archive = project.path("tiny.tar").display().to_string();
    told(&mut ybox(&project.path("home"), &["export", "ybox/tiny", &archive]));
    let there = home();
    told(&mut ybox(there.path(), &["import", &archive]));
    let place = registry.place("team/gzip:v1");
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    let pinned = told(&mut ybox(there.path(), &push));
    let (_, digest) = pinned.split_once('@').unwrap();
    (place, digest.to_owned())
}

/// The network namespace of a daemon that scripts/dockerd.sh started: one of its own.
fn private_network() -> Option<PathBuf> {
    let socket = std::env::var("DOCKER_HOST").ok()?;
    let folder = Path::new(socket.strip_prefix("unix://")?).parent()?;
    let pid = std::fs::read_to_string(folder.join("pid")).ok()?;
    Some(format!("/proc/{}/ns/net", pid.trim()).into())
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
    if have("skopeo") {
        // The second has the layer already, for all of its repositories: it stays as it is.
        Registry::kinds().for_each(|registry| takes_docker_s_types(&registry));
    }
}

fn takes_docker_s_types(registry: &Registry) {
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
