//! What the store promises: only what changed is written, damage is found and named, an
//! interrupted build does no harm.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use futures_util::StreamExt;
use ybox::image::{Archive, ProblemCode};
use ybox_spec::Digest;

use super::fixture::{Compression, Project, deb, ordinary_members, wheel};

#[test]
fn a_rebuild_writes_nothing_and_needs_no_inputs() {
    let project = Project::new();
    let first = project.build().unwrap();
    assert!(first.layers.iter().all(|layer| !layer.reused));
    let names: Vec<_> = first.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["base", "libraries", "trainer", "presets"]);
    let before = project.blobs();
    fs::remove_dir_all(project.path("home/cache")).unwrap();
    let second = project.build().unwrap();
    assert_eq!(second.image, first.image);
    assert!(second.layers.iter().all(|layer| layer.reused));
    assert_eq!(project.blobs(), before);
}

#[test]
fn a_changed_preset_rewrites_its_layer_only() {
    let project = Project::new();
    let first = project.build().unwrap();
    let before = project.blobs();
    fs::write(project.path("configs/a.yaml"), "model: c\n").unwrap();
    let second = project.build().unwrap();
    let reused: Vec<_> = second.layers.iter().map(|layer| layer.reused).collect();
    assert_eq!(reused, [true, true, true, false]);
    let new: Vec<_> = project.blobs().into_iter().filter(|b| !before.contains(b)).collect();
    // And the two documents that name the image, with the manifests that attach them and the lock.
    assert_eq!(new.len(), 3 + 2 + 3, "one layer, config and manifest: {new:?}");
    let size: u64 = new
        .iter()
        .map(|blob| fs::metadata(project.path("home/store/blobs/sha256").join(blob)).unwrap().len())
        .sum();
    assert!(size < 16384, "{size}");
    let store = project.store();
    assert_eq!(store.find("ybox/tiny").unwrap(), second.image);
    assert_eq!(store.find(&first.image.config.to_string()).unwrap().config, first.image.config);
}

#[test]
fn files_are_read_without_unpacking() {
    let project = Project::new();
    let image = project.build().unwrap().image;
    let store = project.store();
    assert_eq!(store.read_file(&image, "/opt/ybox/configs/b.yaml").unwrap(), b"model: b\n");
    assert_eq!(store.read_file(&image, "/usr/lib/twin").unwrap(), b"#!/bin/sh\n");
    assert_eq!(store.list_files(&image, "/opt/ybox/configs/").unwrap(), ["a.yaml", "b.yaml"]);
    assert_eq!(store.list_files(&image, "/usr/share/doc/alpha").unwrap(), ["copyright"]);
    assert!(store.list_files(&image, "/usr/share/lintian").unwrap().is_empty());
    let missing = store.read_file(&image, "/opt/ybox/configs/z.yaml").unwrap_err().to_string();
    assert_eq!(missing, "image ybox/tiny:latest has no file /opt/ybox/configs/z.yaml");
}

#[test]
fn a_flipped_byte_in_any_blob_is_named() {
    let project = Project::new();
    let built = project.build().unwrap();
    let store = project.store();
    assert_eq!(store.check(&built.image), []);
    let mut blobs: Vec<Digest> = built.layers.iter().map(|layer| layer.digest).collect();
    blobs.extend([built.image.config, built.image.manifest]);
    for digest in blobs {
        let path = project.path("home/store/blobs/sha256").join(digest.hex());
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        let problems = store.check(&store.find("tiny").unwrap());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].code, ProblemCode::BlobDamaged);
        assert!(problems[0].item.contains(&digest.to_string()), "{problems:?}");
        fs::remove_file(&path).unwrap();
        let problems = store.check(&built.image);
        assert_eq!(problems[0].code, ProblemCode::BlobMissing);
        // Building again mends it.
        assert_eq!(project.build().unwrap().image, built.image);
        assert_eq!(store.check(&built.image), []);
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}

#[test]
fn a_killed_build_leaves_a_store_that_works() {
    let project = Project::new();
    let before = project.build().unwrap().image;
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(48 << 20)
    .collect();
    let wheel = wheel(&[("beta/lib/beta.so", 0o755, &noise)]);
    let large = Project::with(&deb(&ordinary_members(), Compression::None), &wheel);
    fs::remove_dir_all(large.path("home/store")).ok();
    fs::rename(project.path("home/store"), large.path("home/store")).unwrap();
    let mut child = large
        .ybox(&["build", "tiny", "--no-load"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("writing layer libraries")));
    child.kill().unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!((child.wait().unwrap().code(), printed.as_str()), (None, ""));
    let store = large.store();
    assert_eq!(store.images().unwrap().as_slice(), std::slice::from_ref(&before));
    assert_eq!(store.check(&before), []);
    let after = large.build().unwrap().image;
    assert_eq!(store.check(&after), []);
    assert_ne!(after, before);
}

#[test]
fn unpacks_once_and_puts_right_what_was_changed() {
    let project = Project::new();
    let image = project.build().unwrap().image;
    let store = project.store();
    let unpacked = store.unpack(&image).unwrap();
    let root = unpacked.root.clone();
    assert_eq!(unpacked.mended, None);
    assert_eq!(fs::read(root.join("lib/twin")).unwrap(), b"#!/bin/sh\n");
    assert_eq!(fs::read_link(root.join("usr/lib/alias")).unwrap().to_str(), Some("tool"));
    assert_eq!(store.unpack(&image).unwrap(), unpacked);

    let preset = root.join("opt/ybox/configs/a.yaml");
    let good = fs::read(&preset).unwrap();
    let changes: [(&dyn Fn(), &str); 5] = [
        (
            &|| fs::write(&preset, "model: x\n").unwrap(),
            "opt/ybox/configs/a.yaml has other content",
        ),
        (
            &|| fs::set_permissions(&preset, fs::Permissions::from_mode(0o777)).unwrap(),
            "opt/ybox/configs/a.yaml has another kind or mode",
        ),
        (&|| fs::remove_file(&preset).unwrap(), "opt/ybox/configs/a.yaml is gone"),
        (&|| fs::write(root.join("usr/extra"), "x").unwrap(), "usr/extra is not of the image"),
        (
            &|| {
                fs::remove_file(root.join("lib")).unwrap();
                fs::create_dir(root.join("lib")).unwrap();
            },
            "lib has another kind or mode",
        ),
    ];
    for (change, what) in changes {
        change();
        assert_eq!(store.unpack(&image).unwrap().mended.as_deref(), Some(what));
        assert_eq!(store.unpack(&image).unwrap().mended, None);
        assert_eq!(fs::read(&preset).unwrap(), good);
    }
    // What was changed in place is put right in the layer's own folder, too.
    fs::write(root.join("usr/lib/tool"), "evil").unwrap();
    fs::remove_dir_all(&root).unwrap();
    store.unpack(&image).unwrap();
    assert_eq!(fs::read(root.join("usr/lib/tool")).unwrap(), b"#!/bin/sh\n");
    // The same content under a new time is no change.
    fs::write(&preset, &good).unwrap();
    assert_eq!(store.unpack(&image).unwrap().mended, None);
}

#[test]
fn images_share_their_unpacked_layers() {
    let project = Project::new();
    let store = project.store();
    let first = store.unpack(&project.build().unwrap().image).unwrap();
    fs::write(project.path("configs/a.yaml"), "model: c\n").unwrap();
    let image = project.build().unwrap().image;
    // Only the presets may be unpacked anew: the others' blobs are out of reach.
    let blobs = project.path("home/store/blobs/sha256");
    for layer in &store.layers(&image).unwrap()[..3] {
        fs::rename(blobs.join(layer.digest.hex()), project.path(&layer.digest.hex())).unwrap();
    }
    let second = store.unpack(&image).unwrap();
    let inode = |root: &std::path::Path| {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(root.join("usr/lib/tool")).unwrap())
    };
    assert_eq!(inode(&first.root), inode(&second.root));
    assert_eq!(fs::read(second.root.join("opt/ybox/configs/a.yaml")).unwrap(), b"model: c\n");
    assert_eq!(fs::read(first.root.join("opt/ybox/configs/a.yaml")).unwrap(), b"model: a\n");
}

#[test]
fn the_archive_holds_what_docker_and_oci_ask_for() {
    let project = Project::new();
    let built = project.build().unwrap();
    let store = project.store();
    let archive = Archive::new(&store, &built.image, &BTreeSet::new()).unwrap();
    let mut bytes = Vec::new();
    archive.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, archive.size());
    let files = entries(&bytes);
    let docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][0], "ybox/tiny:latest");
    for (layer, path) in built.layers.iter().zip(docker[0]["Layers"].as_array().unwrap()) {
        assert_eq!(Digest::of(&files[path.as_str().unwrap()]), layer.diff_id);
    }
    let config = &files[docker[0]["Config"].as_str().unwrap()];
    assert_eq!(Digest::of(config), built.image.config);
    let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"][0]["digest"], archive.manifest().to_string());
    let manifest = &files[&format!("blobs/sha256/{}", archive.manifest().hex())];
    assert_eq!(Digest::of(manifest), archive.manifest());

    let left_out: BTreeSet<_> = built.layers[..3].iter().map(|layer| layer.diff_id).collect();
    let delta = Archive::new(&store, &built.image, &left_out).unwrap();
    assert_eq!(delta.manifest(), archive.manifest());
    let size = delta.size();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let chunks: Vec<_> = runtime.block_on(delta.into_stream().collect());
    let streamed: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.unwrap()).collect();
    assert_eq!(streamed.len() as u64, size);
    let delta = entries(&streamed);
    assert_eq!(delta.len(), files.len() - 3);
    assert!(delta.iter().all(|(path, content)| files[path] == *content));
}

#[test]
fn an_archive_of_a_damaged_image_fails_instead_of_ending_early() {
    let project = Project::new();
    let built = project.build().unwrap();
    let path = project.path("home/store/blobs/sha256").join(built.layers[0].digest.hex());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let archive = Archive::new(&project.store(), &built.image, &BTreeSet::new()).unwrap();
    assert!(archive.write(&mut std::io::sink()).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let chunks: Vec<_> = runtime.block_on(archive.into_stream().collect());
    assert!(chunks.last().unwrap().is_err());
    assert!(!project.path("out.tar").exists());
    let archive = Archive::new(&project.store(), &built.image, &BTreeSet::new()).unwrap();
    assert!(archive.write_file(&project.path("out.tar")).is_err());
    assert!(!project.path("out.tar").exists());
}

fn entries(tar: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let mut files = std::collections::BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type().is_file() {
            files.insert(path, content);
        }
    }
    files
}
