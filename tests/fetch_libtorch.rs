//! Laying out a libtorch from stand-in wheels.

// A test may panic, its setup included.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ybox::fetch::Inputs;
use ybox::fetch::libtorch::{LibtorchError, lay_out};
use ybox::lock::{LOCK_SCHEMA, Lock, LockedWheel};
use ybox_spec::Digest;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const TORCH: [(&str, &str); 6] = [
    ("torch/include/ATen/ATen.h", "#pragma once"),
    ("torch/include/torch.h", "#pragma once"),
    ("torch/lib/libtorch_cpu.so", "cpu"),
    ("torch/lib/libc10.so", "c10"),
    ("torch/lib/libgomp.so.1", "gomp"),
    ("torch/lib/libtorch_cuda.so", "not wanted"),
];
const CUDA: [(&str, &str); 2] =
    [("nvidia/cu13/lib/libcudart.so.13", "cudart"), ("nvidia/cu13/lib/libcupti.so.13", "cupti")];

/// Wheels by name, and the lock that pins them.
fn wheels(folder: &Path, wheels: &[(&str, &[(&str, &str)])]) -> (Lock, Inputs) {
    let mut lock = Lock {
        schema: LOCK_SCHEMA.into(),
        recipe: Digest::of(b""),
        packer: 1,
        debs: vec![],
        wheels: vec![],
    };
    let mut inputs = Inputs::default();
    for (name, entries) in wheels {
        let path = folder.join(format!("{name}.whl"));
        write_zip(&path, entries);
        let (sha256, size) = Digest::of_file(&path).unwrap();
        let file = format!("{name}.whl");
        let version = "1".to_owned();
        lock.wheels.push(LockedWheel { name: (*name).into(), version, file, size, sha256 });
        inputs.wheels.insert((*name).into(), path);
    }
    (lock, inputs)
}

fn write_zip(path: &Path, entries: &[(&str, &str)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn holds_what_a_build_needs_and_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("cuda", &CUDA)]);
    let target = dir.path().join("out/libtorch");
    fs::create_dir(dir.path().join("out")).unwrap();
    assert!(lay_out(&lock, &inputs, &target).unwrap());
    let expected = [
        ".ybox-libtorch.json",
        "include/ATen/ATen.h",
        "include/torch.h",
        "lib/libc10.so",
        "lib/libcudart.so.13",
        "lib/libcupti.so.13",
        "lib/libgomp.so.1",
        "lib/libtorch.so",
        "lib/libtorch_cpu.so",
    ];
    assert_eq!(files_below(&target), expected.map(PathBuf::from));
    let script = fs::read_to_string(target.join("lib/libtorch.so")).unwrap();
    assert_eq!(script, "INPUT(-ltorch_cpu -lc10)\n");
    assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 1);

    fs::remove_file(dir.path().join("torch.whl")).unwrap();
    assert!(!lay_out(&lock, &inputs, &target).unwrap());
}

#[test]
fn another_lock_replaces_it_and_a_failure_leaves_it() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("libtorch");
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("cuda", &CUDA)]);
    lay_out(&lock, &inputs, &target).unwrap();
    let before = files_below(&target);

    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("cuda", &CUDA[..1])]);
    let error = lay_out(&lock, &inputs, &target).unwrap_err();
    assert!(matches!(error, LibtorchError::Missing("libcupti.so.13")), "{error}");
    assert_eq!(files_below(&target), before);

    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH[1..]), ("cuda", &CUDA)]);
    assert!(lay_out(&lock, &inputs, &target).unwrap());
    assert!(!target.join("include/ATen").exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_folder_of_someone_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("cuda", &CUDA)]);
    let target = dir.path().join("mine");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("thesis.tex"), "years of work").unwrap();
    let error = lay_out(&lock, &inputs, &target).unwrap_err();
    assert!(matches!(error, LibtorchError::Occupied(_)), "{error}");
    assert_eq!(files_below(&target), [PathBuf::from("thesis.tex")]);
}

#[test]
fn entries_cannot_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a/b/libtorch");
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    let evil = [("torch/include/../../../escaped", "x")];
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("evil", &evil)]);
    let error = lay_out(&lock, &inputs, &target).unwrap_err();
    assert!(matches!(&error, LibtorchError::Escapes { wheel, .. } if wheel == "evil"), "{error}");
    assert!(files_below(&dir.path().join("a")).is_empty());
}

#[test]
fn links_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH)]);
    let mut zip = ZipWriter::new(File::create(dir.path().join("torch.whl")).unwrap());
    let options = SimpleFileOptions::default();
    zip.add_symlink("torch/include/link", "/etc", options).unwrap();
    zip.finish().unwrap();
    let error = lay_out(&lock, &inputs, &dir.path().join("libtorch")).unwrap_err();
    assert!(matches!(error, LibtorchError::Escapes { .. }), "{error}");
}

#[test]
fn a_library_in_two_places_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let twice = [("other/lib/libc10.so", "which one?")];
    let (lock, inputs) = wheels(dir.path(), &[("torch", &TORCH), ("twice", &twice)]);
    let error = lay_out(&lock, &inputs, &dir.path().join("libtorch")).unwrap_err();
    assert!(matches!(error, LibtorchError::Twice("libc10.so")), "{error}");
}
