//! Doors for the fuzz targets below `fuzz/` to what reads packages and layers that others made.
//! Compiled for them alone.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use globset::GlobSet;
use tar::Archive;

use super::content::{Content, Spool};
use super::unpack::Record;
use super::{deb, elf, wheel};
use crate::lock::Placement;

fn spool() -> Spool {
    Spool::new(Path::new("/dev/shm")).expect("a scratch file can be made")
}

fn as_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file can be made");
    file.write_all(bytes).expect("a file can be written");
    read(file.path())
}

pub fn deb(bytes: &[u8]) {
    let _ = as_file(bytes, |path| deb::read(path, &GlobSet::empty(), &mut spool()));
}

pub fn wheel(bytes: &[u8]) {
    let all = Placement { from: "**".into(), to: "/opt".into() };
    let _ = as_file(bytes, |path| wheel::read(path, &[all], &mut spool()));
}

pub fn elf(bytes: &[u8]) {
    let _ = elf::facts(&Content::bytes(bytes));
}

/// Unpacks a layer into a folder: whatever it holds, nothing beside that folder may change.
pub fn layer(bytes: &[u8]) {
    let around = tempfile::tempdir_in("/dev/shm").expect("a folder can be made");
    let root = around.path().join("root");
    fs::create_dir(&root).expect("a folder can be made");
    fs::write(around.path().join("beside"), "untouched").expect("a file can be written");
    unpack(bytes, &root);
    let mut names: Vec<_> = fs::read_dir(around.path())
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["beside", "root"]);
    assert_eq!(fs::read(around.path().join("beside")).expect("it is there"), b"untouched");
}

fn unpack(bytes: &[u8], root: &Path) {
    let reader: Box<dyn Read> = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let mut archive = Archive::new(reader);
    let mut record = Record::default();
    let Ok(entries) = archive.entries() else { return };
    for entry in entries {
        let Ok(mut entry) = entry else { return };
        let Ok(path) = String::from_utf8(entry.path_bytes().into_owned()) else { return };
        if record.place(root, path.trim_end_matches('/'), &mut entry).is_err() {
            return;
        }
    }
}
