//! Archives with members that are far too large, or grow to that: none of it is held in memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde_json::{Value, json};
use ybox_spec::Digest;

use super::carry::exported;
use super::carry_run::{Members, members, packed, with_json};
use super::server::{home, refused_within, ybox};

const GIGABYTE: u64 = 1 << 30;
/// A blob is copied into the store before it is looked at: this much is quick.
const LARGE_BLOB: u64 = 128 << 20;
/// Far less than what comes, and more than a debug build needs.
const MOST: u64 = 96 << 20;

/// What is said to `archive`, with a member of zeros before the others: its name and size.
#[track_caller]
fn refused_with(name: &str, size: u64, archive: &[u8]) -> String {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    refused(|file| {
        file.write_all(header.as_bytes())?;
        file.seek(SeekFrom::Current(i64::try_from(size).unwrap()))?;
        file.write_all(archive)
    })
}

/// What is said to an archive, of which little may be in memory.
#[track_caller]
fn refused(write: impl FnOnce(&mut File) -> io::Result<()>) -> String {
    let dir = home();
    write(&mut File::create(dir.path().join("x.tar")).unwrap()).unwrap();
    let (_, said, peak) = refused_within(&mut ybox(dir.path(), &["import", "x.tar"]));
    println!("{} MB: {}", peak >> 20, said.lines().next().unwrap_or_default());
    assert!(peak < MOST, "{} MB for `{said}`", peak >> 20);
    let left = fs::read_dir(dir.path().join("store/blobs/sha256")).unwrap().count()
        + fs::read_dir(dir.path().join("store/tmp")).unwrap().count();
    assert_eq!(left, 0);
    said
}

#[test]
fn a_gigabyte_of_a_document_is_refused() {
    let (_project, archive) = exported();
    for name in ["index.json", "ybox.json", "manifest.json", "oci-layout"] {
        let said = refused_with(name, GIGABYTE, &archive);
        assert!(said.contains("more than"), "{said}");
    }
}

#[test]
fn a_manifest_of_the_size_of_a_layer_is_refused() {
    let (_project, archive) = exported();
    let (digest, _) = Digest::of_reader(io::repeat(0).take(LARGE_BLOB)).unwrap();
    let path = format!("blobs/sha256/{}", digest.hex());
    let as_image = with_json(&archive, "index.json", |index| {
        index["manifests"][0]["digest"] = json!(digest);
        index["manifests"][0]["size"] = json!(LARGE_BLOB);
    });
    let as_attachment =
        with_json(&archive, "ybox.json", |list| list["attached"][0]["manifest"] = json!(digest));
    let as_signed = with_json(&archive, "ybox.json", |list| list["manifest"] = json!(digest));
    for archive in [as_image, as_attachment, as_signed] {
        let said = refused_with(&path, LARGE_BLOB, &archive);
        assert!(said.contains("more than"), "{said}");
    }
}

#[test]
fn a_layer_that_grows_is_not_held_in_memory() {
    let (_project, archive) = exported();
    let mut members = members(&archive);
    let document = |members: &Members, path: &str| -> Value {
        let (_, bytes) = members.iter().find(|(there, _)| there == path).unwrap();
        serde_json::from_slice(bytes).unwrap()
    };
    let mut index = document(&members, "index.json");
    let blob = |digest: &Value| format!("blobs/sha256/{}", &digest.as_str().unwrap()[7..]);
    let mut manifest = document(&members, &blob(&index["manifests"][0]["digest"]));
    let mut put = |bytes: Vec<u8>| {
        let described = (json!(Digest::of(&bytes)), json!(bytes.len()));
        members.push((blob(&described.0), bytes));
        described
    };
    let layer = &mut manifest["layers"][0];
    (layer["digest"], layer["size"]) = put(bomb());
    let entry = &mut index["manifests"][0];
    (entry["digest"], entry["size"]) = put(serde_json::to_vec(&manifest).unwrap());
    let archive = with_json(&packed(&members), "index.json", |document| *document = index);
    let said = refused(|file| file.write_all(&archive));
    assert!(said.contains("the config says"), "{said}");
}

/// A gigabyte of zeros.
fn bomb() -> Vec<u8> {
    let piece = vec![0; 16 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&piece).unwrap();
    gzip.finish().unwrap().repeat(64)
}
