//! The image as a folder, for the runner that needs no daemon: unpacked once per config digest,
//! checked at each use, unpacked anew when anything in it is not as it was.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::EntryType;
use ybox_spec::{Digest, canonical, files};

use super::hashing::HashingReader;
use super::stamp::Stamp;
use super::{ImageError, Store, StoredImage};

/// An unpacked image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The root of the file system.
    pub root: PathBuf,
    /// What had been changed since it was unpacked, and has been put right.
    pub mended: Option<String>,
}

/// What was unpacked, by path.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    entries: BTreeMap<String, Unpack>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unpack {
    Folder { mode: u32 },
    File { mode: u32, sha256: Digest, stamp: Option<Stamp> },
    Link { target: String },
}

impl Store {
    /// The image's root file system. Unpacked at the first call (after every layer's digest was
    /// checked); later calls compare each entry with what was unpacked then.
    pub fn unpack(&self, image: &StoredImage) -> Result<Unpacked, ImageError> {
        let root = self.rootfs.join(image.config.hex());
        let failed = || ImageError::io(format!("unpack image {}", image.reference));
        fs::create_dir_all(&self.rootfs).map_err(failed())?;
        let lock = File::create(root.with_extension("lock")).map_err(failed())?;
        lock.lock().map_err(failed())?;
        let stamps = root.with_extension("json");
        let mended = match fs::read(&stamps).ok().and_then(|b| serde_json::from_slice(&b).ok()) {
            Some(record) => match first_change(&root, record, &stamps).map_err(failed())? {
                None => return Ok(Unpacked { root, mended: None }),
                changed => changed,
            },
            None => None,
        };
        let record = self.unpack_anew(image, &root)?;
        files::write_atomic(&stamps, &canonical::to_bytes(&record)).map_err(failed())?;
        Ok(Unpacked { root, mended })
    }

    fn unpack_anew(&self, image: &StoredImage, root: &Path) -> Result<Record, ImageError> {
        let failed = || ImageError::io(format!("unpack image {}", image.reference));
        let aside = tempfile::Builder::new()
            .prefix(".unpacking-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&self.rootfs)
            .map_err(failed())?;
        let mut record = Record::default();
        for layer in self.layers(image)? {
            self.each_entry(&layer, |path, entry| {
                let kind = entry.header().entry_type();
                let mode = entry.header().mode()?;
                let target = entry.link_name_bytes().map(|t| t.into_owned());
                record.place(aside.path(), path, kind, mode, target, entry)
            })?;
        }
        record.stamp(aside.path()).map_err(failed())?;
        settle(aside, root).map_err(failed())?;
        Ok(record)
    }
}

/// Flushes the new folder to disk and gives it its name.
fn settle(aside: tempfile::TempDir, root: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(aside.path())?)?;
    match fs::remove_dir_all(root) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => fs::rename(aside.path(), root)?,
    }
    // The folder has moved: there is nothing left to remove at the temporary name.
    let _ = aside.keep();
    Ok(())
}

impl Record {
    /// Puts one entry of a layer below `root`. Only folders that this record made are written
    /// through, so no link of an image can lead outside.
    fn place(
        &mut self,
        root: &Path,
        path: &str,
        kind: EntryType,
        mode: u32,
        target: Option<Vec<u8>>,
        content: &mut impl Read,
    ) -> io::Result<()> {
        self.check_place(path)?;
        let place = root.join(path);
        let mode = mode & 0o1777;
        let entry = match kind {
            EntryType::Directory => {
                if !matches!(self.entries.get(path), Some(Unpack::Folder { .. })) {
                    self.clear(path, &place)?;
                    fs::create_dir(&place)?;
                }
                fs::set_permissions(&place, Permissions::from_mode(mode))?;
                Unpack::Folder { mode }
            }
            EntryType::Symlink => {
                self.clear(path, &place)?;
                let target = String::from_utf8(target.unwrap_or_default()).map_err(invalid)?;
                symlink(&target, &place)?;
                Unpack::Link { target }
            }
            EntryType::Regular => {
                self.clear(path, &place)?;
                let sha256 = write_file(&place, mode, content)?;
                Unpack::File { mode, sha256, stamp: None }
            }
            other => {
                return Err(invalid(format!(
                    "{path} is of a kind that ybox does not use: {other:?}"
                )));
            }
        };
        self.entries.insert(path.into(), entry);
        Ok(())
    }

    fn check_place(&self, path: &str) -> io::Result<()> {
        let bad = |c: &str| matches!(c, "" | "." | "..") || c.starts_with(".wh.");
        if path.split('/').any(bad) {
            return Err(invalid(format!("`{path}` is not a path that ybox unpacks")));
        }
        match path.rsplit_once('/') {
            Some((parent, _))
                if !matches!(self.entries.get(parent), Some(Unpack::Folder { .. })) =>
            {
                Err(invalid(format!("the folder of {path} is not in the layer before it")))
            }
            _ => Ok(()),
        }
    }

    /// Removes a file or link of a lower layer.
    fn clear(&mut self, path: &str, place: &Path) -> io::Result<()> {
        match self.entries.remove(path) {
            None => Ok(()),
            Some(Unpack::Folder { .. }) => {
                Err(invalid(format!("{path} is a folder in one layer and none in another")))
            }
            Some(_) => fs::remove_file(place),
        }
    }

    fn stamp(&mut self, root: &Path) -> io::Result<()> {
        for (path, entry) in &mut self.entries {
            if let Unpack::File { stamp, .. } = entry {
                *stamp = Some(Stamp::of(&fs::symlink_metadata(root.join(path))?));
            }
        }
        Ok(())
    }
}

fn write_file(place: &Path, mode: u32, content: &mut impl Read) -> io::Result<Digest> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(place)?;
    let mut hashing = HashingReader::new(content);
    io::copy(&mut hashing, &mut file)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(hashing.finish())
}

/// The first entry below `root` that is not as `record` says, if any. Files whose stamp has moved
/// but whose content is right get their new stamp.
fn first_change(root: &Path, mut record: Record, stamps: &Path) -> io::Result<Option<String>> {
    let mut seen = HashSet::new();
    if !root.is_dir() {
        return Ok(Some("the whole folder".into()));
    }
    if let Some(change) = walk(root, "", &record, &mut seen)? {
        return Ok(Some(change));
    }
    if let Some(missing) = record.entries.keys().find(|path| !seen.contains(*path)) {
        return Ok(Some(format!("{missing} is gone")));
    }
    let before = canonical::to_bytes(&record);
    for (path, entry) in &mut record.entries {
        if let Unpack::File { sha256, stamp, .. } = entry {
            let now = Stamp::of(&fs::symlink_metadata(root.join(path))?);
            if *stamp == Some(now) {
                continue;
            }
            if Digest::of_file(&root.join(path))?.0 != *sha256 {
                return Ok(Some(format!("{path} has other content")));
            }
            *stamp = Some(now);
        }
    }
    let after = canonical::to_bytes(&record);
    if after != before {
        files::write_atomic(stamps, &after)?;
    }
    Ok(None)
}

fn walk(
    root: &Path,
    folder: &str,
    record: &Record,
    seen: &mut HashSet<String>,
) -> io::Result<Option<String>> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let metadata = entry.metadata()?;
        let mode = metadata.permissions().mode() & 0o7777;
        let right = match record.entries.get(&path) {
            None => return Ok(Some(format!("{path} is not of the image"))),
            Some(Unpack::Folder { mode: was }) => metadata.is_dir() && mode == *was,
            Some(Unpack::File { mode: was, .. }) => metadata.is_file() && mode == *was,
            Some(Unpack::Link { target }) => {
                metadata.is_symlink() && fs::read_link(entry.path())? == Path::new(target)
            }
        };
        if !right {
            return Ok(Some(format!("{path} has another kind or mode")));
        }
        if metadata.is_dir() {
            if let Some(change) = walk(root, &path, record, seen)? {
                return Ok(Some(change));
            }
        }
        seen.insert(path);
    }
    Ok(None)
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
