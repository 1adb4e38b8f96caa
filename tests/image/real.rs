//! The real CPU image, where its inputs are in the download cache (`ybox fetch cpu`).

use std::fs;
use std::path::{Path, PathBuf};

use ybox::fetch::{Cache, Inputs};
use ybox::image::{Assembly, Built, ImageError, Store};
use ybox::lock::{Lock, Recipe};

use super::documents::others_read_the_documents_of;
use super::fixture::{Silent, trainer};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where downloads are kept: `YBOX_HOME`, else the default.
fn home() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("YBOX_HOME")
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("ybox")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/ybox")))
}

/// The lock's inputs, their hashes checked; nothing, and a line that says so, if one is missing.
fn inputs(lock: &Lock) -> Option<Inputs> {
    let cache = home().filter(|home| home.is_dir()).and_then(|home| Cache::open(&home).ok());
    let find = |digest, size| cache.as_ref()?.find_checked(digest, size).ok()?;
    let mut inputs = Inputs::default();
    for deb in &lock.debs {
        inputs.debs.insert(deb.name.clone(), find(&deb.sha256, deb.size)?);
    }
    for wheel in &lock.wheels {
        inputs.wheels.insert(wheel.name.clone(), find(&wheel.sha256, wheel.size)?);
    }
    Some(inputs)
}

fn build(home: &Path, trainer: &Path) -> Option<Result<Built, ImageError>> {
    let recipe = Recipe::read(&root().join("docker/cpu.yaml")).unwrap();
    let lock = Lock::read(&root().join("docker/cpu.lock")).unwrap().unwrap();
    let Some(inputs) = inputs(&lock) else {
        println!("skipped: the inputs of docker/cpu.lock are not in the cache (ybox fetch cpu)");
        return None;
    };
    let store = Store::under(home).unwrap();
    let assembly =
        Assembly::plan(&store, &recipe, &lock, trainer, &root().join("configs")).unwrap();
    Some(assembly.build(&inputs, &"ybox/cpu".parse().unwrap(), &Silent))
}

#[test]
fn the_base_and_libtorch_layers_are_the_pinned_ones_and_a_newer_glibc_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("trainer");
    fs::write(&program, trainer()).unwrap();
    let Some(built) = build(dir.path(), &program) else { return };
    let built = built.unwrap();
    let lines: String = built.layers[..2]
        .iter()
        .map(|layer| format!("{} {} {}\n", layer.name, layer.diff_id, layer.digest))
        .collect();
    let golden = fs::read_to_string(root().join("tests/golden/cpu.txt")).unwrap();
    let golden: String =
        golden.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
    assert_eq!(lines, golden, "layer, DiffID, digest of the blob");
    let size: u64 = built.layers.iter().map(|layer| layer.size).sum();
    assert!(size < 110_000_000, "without a trainer: {size}");

    others_read_the_documents_of(&Store::under(dir.path()).unwrap(), &built.image);

    // A real program, made to ask for a C library of the future.
    let mut future = fs::read("/bin/ls").unwrap();
    let Some(at) = future.windows(11).position(|w| w == b"GLIBC_2.34\0") else {
        println!("skipped: /bin/ls here does not ask for GLIBC_2.34");
        return;
    };
    future[at..at + 10].copy_from_slice(b"GLIBC_9.34");
    fs::write(&program, future).unwrap();
    let refused = build(dir.path(), &program).unwrap().unwrap_err();
    let text = ybox::ui::Failure::from(refused).to_string();
    assert!(
        text.contains("needs GLIBC_9.34 of libc.so.6; the image's has GLIBC_2.41 at most"),
        "{text}"
    );
    assert!(text.contains("hint: build the trainer on a system that is no newer"), "{text}");
}
