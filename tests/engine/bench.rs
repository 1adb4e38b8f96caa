//! An image with one program, a store to keep it, and the engines to run it in. Where an engine is
//! missing its tests say so and pass, unless the environment says that they must run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use ybox::engine::{Caller, Choice, Container, Ended, Engine, Host, Mount, Output, StopRequests};
use ybox::image::{Store, StoredImage};
use ybox::ui::Failure;
use ybox_spec::Digest;

pub const PIDS: u32 = 40;
pub const SHM: u64 = 32 << 20;

/// Everything for running the probe in one engine.
pub struct Bench {
    pub engine: Box<dyn Engine>,
    pub image: StoredImage,
    pub home: TempDir,
}

impl Bench {
    /// None where the engine does not answer and does not have to.
    pub fn new(choice: Choice) -> Option<Self> {
        Self::called_by(choice, host().caller)
    }

    pub fn called_by(choice: Choice, caller: Caller) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let (store, image) = store_with_probe(home.path(), &["the probe's layers"]);
        let host = Host { caller, ..host() };
        let engine = match ybox::engine::select(choice, &host, &store) {
            Ok(selection) => selection.engine,
            Err(failure) => return missing(choice, &failure),
        };
        for folder in ["data", "out"] {
            std::fs::create_dir(home.path().join(folder)).unwrap();
        }
        std::fs::write(home.path().join("data/label"), "kept").unwrap();
        engine.prepare(&image).unwrap();
        Some(Self { engine, image, home })
    }

    pub fn container(&self, arguments: &[&str]) -> Container {
        let mount = |name: &str, writable| Mount {
            source: self.home.path().join(name),
            target: format!("/{name}"),
            writable,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Container {
            image: self.image.clone(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: vec![pair("CONTAINER", "c"), pair("BOTH", "container")],
            mounts: vec![mount("data", false), mount("out", true)],
            user: self.engine.user(),
            pids_limit: PIDS,
            shm_size: SHM,
            gpus: Vec::new(),
        }
    }

    pub fn run(&self, arguments: &[&str]) -> (Ended, Vec<Output>) {
        let mut lines = Vec::new();
        let container = self.container(arguments);
        let ended =
            self.engine.run(&container, &StopRequests::new(0), &mut |line| lines.push(line));
        (ended.unwrap(), lines)
    }

    /// What the probe says of its surroundings.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let (ended, lines) = self.run(&["facts"]);
        assert_eq!(ended.code, 0, "{lines:?}");
        let pair = |line: &Output| match line {
            Output::Out(line) | Output::Err(line) => {
                let (name, value) = line.split_once('=').unwrap();
                (name.to_owned(), value.trim().to_owned())
            }
        };
        lines.iter().map(pair).collect()
    }
}

pub fn host() -> Host {
    Host::read(|name| std::env::var_os(name))
}

pub fn missing<T>(choice: Choice, failure: &Failure) -> Option<T> {
    let variable = match choice {
        Choice::Docker => "YBOX_TEST_REQUIRE_DOCKER",
        Choice::Podman => "YBOX_TEST_REQUIRE_PODMAN",
        Choice::Embedded | Choice::Auto => "YBOX_TEST_REQUIRE_BUBBLEWRAP",
    };
    assert_ne!(std::env::var(variable).as_deref(), Ok("1"), "{variable} is set, but: {failure}");
    println!("skipped: {}", failure.what);
    None
}

/// A store in `home` with an image of the probe, and a layer more for each of `notes`.
pub fn store_with_probe(home: &Path, notes: &[&str]) -> (Store, StoredImage) {
    let store = Store::under(home).unwrap();
    let probe = std::fs::read(compile(home)).unwrap();
    let mut layers = vec![layer(&[("etc/empty", 0o644, b""), ("probe", 0o755, &probe)])];
    layers.extend(notes.iter().map(|note| layer(&[("etc/note", 0o644, note.as_bytes())])));
    // A name of its own: containerd's store forgets an image once its name goes to another.
    let name = format!("ybox/probe-{}", &Digest::of(notes.concat().as_bytes()).hex()[..12]);
    add_image(home, &format!("{name}:latest"), &layers);
    let image = store.find(&name).unwrap();
    (store, image)
}

fn compile(folder: &Path) -> PathBuf {
    let (program, source) = (folder.join("probe"), folder.join("probe.c"));
    std::fs::write(&source, include_str!("probe.c")).unwrap();
    let status = Command::new("cc")
        .args(["-static", "-O1", "-w", "-s", "-o"])
        .arg(&program)
        .arg(&source)
        .status()
        .expect("these tests need a C compiler");
    assert!(status.success());
    program
}

fn layer(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Directory);
    tar.append_data(&mut header, "etc/", std::io::empty()).unwrap();
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes the image as an OCI layout, the way that the specification describes it.
pub fn add_image(home: &Path, reference: &str, layers: &[Vec<u8>]) {
    let put = |bytes: &[u8], kind: &str| {
        let digest = Digest::of(bytes);
        let path = home.join("store/blobs/sha256").join(digest.hex());
        std::fs::write(path, bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    };
    let described: Vec<_> = layers.iter().map(|bytes| put(bytes, "layer.v1.tar")).collect();
    let diff_ids: Vec<_> = layers.iter().map(|bytes| Digest::of(bytes).to_string()).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Entrypoint": ["/probe"], "Env": ["IMAGE=i", "BOTH=image"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = put(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": described,
    });
    let mut manifest = put(manifest.to_string().as_bytes(), "manifest.v1+json");
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": reference });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(home.join("store/index.json"), index.to_string()).unwrap();
}
