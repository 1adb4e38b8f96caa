//! The file of `ybox export`, as the engines' own programs load it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ybox::engine::Choice;
use ybox::image::{Archive, Store, StoredImage};
use ybox::ui::Failure;
use ybox_spec::Digest;
use ybox_spec::record::Artifact;

use crate::bench::{host, missing, store_with_probe};
use crate::load::unique;

/// An image that no engine has, and the file that carries it and a run.
struct Carried {
    _home: tempfile::TempDir,
    store: Store,
    image: StoredImage,
    file: PathBuf,
}

impl Carried {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (store, image) = store_with_probe(home.path(), &[&unique("carried")]);
        let note = b"a file of a run";
        std::fs::write(home.path().join("note"), note).unwrap();
        let size = note.len() as u64;
        let files = [Artifact { path: "note".into(), size, sha256: Digest::of(note) }];
        let file = home.path().join("carried.tar");
        let archive = Archive::carried(&store, &image, Some((home.path(), &files))).unwrap();
        archive.write_file(&file).unwrap();
        Self { _home: home, store, image, file }
    }

    /// Loads the file; then the engine has the image by its name, with its layers.
    fn loads_with(&self, engine: impl Fn() -> Command) {
        let name = &self.image.reference;
        said(engine().args(["load", "-i"]).arg(&self.file));
        let layers = ["image", "inspect", "--format", "{{json .RootFS.Layers}}", name];
        let found: Vec<Digest> = serde_json::from_str(&said(engine().args(layers))).unwrap();
        said(engine().args(["rmi", name]));
        let expected = self.store.layers(&self.image).unwrap();
        assert_eq!(found, expected.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
    }
}

/// Standard output of a command that must succeed.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Whether the engine's own program is there and works; if not, that is said, or not accepted.
fn works(mut engine: Command, choice: Choice) -> bool {
    let why = match engine.arg("info").output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let failure = Failure::new(format!("{}: {why}", engine.get_program().display()), 2);
    missing::<()>(choice, &failure).is_some()
}

#[test]
fn docker_loads_it() {
    let address = host().docker.remove(0);
    let docker = || {
        let mut docker = Command::new("docker");
        docker.args(["--host", &address]);
        docker
    };
    if works(docker(), Choice::Docker) {
        Carried::new().loads_with(docker);
    }
}

#[test]
fn podman_loads_it() {
    let storage = tempfile::tempdir().unwrap();
    let folder = |name: &str| storage.path().join(name);
    let podman = || podman(&folder("root"), &folder("run"));
    if works(podman(), Choice::Podman) {
        Carried::new().loads_with(podman);
    }
}

/// Podman with storage of its own, which needs no driver of the kernel's.
fn podman(root: &Path, run: &Path) -> Command {
    let mut podman = Command::new("podman");
    podman.arg("--root").arg(root).arg("--runroot").arg(run).args(["--storage-driver", "vfs"]);
    podman
}
