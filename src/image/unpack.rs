//! A layer as a folder. Layers come from images that others may have made, so nothing is written
//! but through folders that this layer's own entries made.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tar::{Entry, EntryType};
use ybox_spec::Digest;

use super::hashing::HashingReader;
use super::stamp::Stamp;

/// What a layer was unpacked to, by path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The boot in which the stamps were taken: files may not have reached the disk before a
    /// crash, so after it the stamps say nothing.
    pub boot: String,
    pub entries: BTreeMap<String, Unpacked>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpacked {
    Folder { mode: u32 },
    File { mode: u32, sha256: Digest, stamp: Option<Stamp> },
    Link { target: String },
}

impl Record {
    /// Writes one entry of a layer below `root`.
    pub fn place(
        &mut self,
        root: &Path,
        path: &str,
        entry: &mut Entry<'_, Box<dyn Read>>,
    ) -> io::Result<()> {
        self.check_place(path)?;
        let place = root.join(path);
        let mode = entry.header().mode()? & 0o1777;
        let unpacked = match entry.header().entry_type() {
            EntryType::Directory => {
                fs::create_dir(&place)?;
                fs::set_permissions(&place, Permissions::from_mode(mode))?;
                Unpacked::Folder { mode }
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = String::from_utf8(target).map_err(invalid)?;
                symlink(&target, &place)?;
                Unpacked::Link { target }
            }
            EntryType::Regular => {
                let sha256 = write_file(&place, mode, entry)?;
                let stamp = Some(Stamp::of(&fs::symlink_metadata(&place)?));
                Unpacked::File { mode, sha256, stamp }
            }
            other => {
                let why = format!("{path} is of a kind that ybox does not use: {other:?}");
                return Err(invalid(why));
            }
        };
        self.entries.insert(path.into(), unpacked);
        Ok(())
    }

    /// Only a path whose folder this record has, and which it has not yet, may be written.
    fn check_place(&self, path: &str) -> io::Result<()> {
        let bad = |c: &str| matches!(c, "" | "." | "..") || c.starts_with(".wh.");
        if path.split('/').any(bad) || self.entries.contains_key(path) {
            return Err(invalid(format!("`{path}` is not a path that ybox unpacks")));
        }
        let folder = path.rsplit_once('/').map(|(folder, _)| self.entries.get(folder));
        match folder {
            None | Some(Some(Unpacked::Folder { .. })) => Ok(()),
            Some(_) => Err(invalid(format!("the folder of {path} is not before it in its layer"))),
        }
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

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
