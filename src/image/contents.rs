//! Looking at the files of a stored image without unpacking it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use tar::{Archive, Entry};
use ybox_spec::Digest;

use super::{ImageError, Store, StoredImage, StoredLayer};

/// What is at a path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerFile {
    File { size: u64, sha256: Digest, mode: u32 },
    Link { target: String },
}

/// A file that is read whole: presets and the like.
const LARGEST_FILE: u64 = 16 << 20;

impl Store {
    /// A file's content; `path` is absolute in the image. The layer that it comes from is checked
    /// to the end before anything is returned.
    pub fn read_file(&self, image: &StoredImage, path: &str) -> Result<Vec<u8>, ImageError> {
        let wanted = path.trim_start_matches('/');
        for layer in self.layers(image)?.iter().rev() {
            let mut found = None;
            self.each_entry(layer, |name, entry| {
                if name == wanted && entry.header().entry_type().is_file() {
                    let mut bytes = Vec::new();
                    entry.take(LARGEST_FILE).read_to_end(&mut bytes)?;
                    found = Some(bytes);
                }
                Ok(())
            })?;
            if let Some(bytes) = found {
                return Ok(bytes);
            }
        }
        Err(ImageError::NoFile { image: image.reference.clone(), path: path.into() })
    }

    /// Names of the files directly in a folder of the image, sorted. Empty if there is no such
    /// folder.
    pub fn list_files(&self, image: &StoredImage, folder: &str) -> Result<Vec<String>, ImageError> {
        let prefix = format!("{}/", folder.trim_matches('/'));
        let mut names = BTreeSet::new();
        for layer in self.layers(image)? {
            self.each_entry(&layer, |name, entry| {
                let below = name.strip_prefix(&prefix).filter(|rest| !rest.contains('/'));
                if let (Some(file), true) = (below, entry.header().entry_type().is_file()) {
                    names.insert(file.to_owned());
                }
                Ok(())
            })?;
        }
        Ok(names.into_iter().collect())
    }

    /// Everything in a layer, by path; folders are left out.
    pub fn layer_files(
        &self,
        layer: &StoredLayer,
    ) -> Result<BTreeMap<String, LayerFile>, ImageError> {
        let mut files = BTreeMap::new();
        self.each_entry(layer, |path, entry| {
            let header = entry.header();
            let mode = header.mode()?;
            if header.entry_type().is_file() {
                let (sha256, size) = Digest::of_reader(entry)?;
                files.insert(path.to_owned(), LayerFile::File { size, sha256, mode });
            } else if let Some(target) = entry.link_name_bytes() {
                let target = String::from_utf8_lossy(&target).into_owned();
                files.insert(path.to_owned(), LayerFile::Link { target });
            }
            Ok(())
        })?;
        Ok(files)
    }

    /// Hands over each entry of a layer, with its path less a trailing slash, then reads the layer
    /// to its end, so that its digests are checked.
    pub(super) fn each_entry(
        &self,
        layer: &StoredLayer,
        mut visit: impl FnMut(&str, &mut Entry<'_, Box<dyn Read>>) -> io::Result<()>,
    ) -> Result<(), ImageError> {
        let reader: Box<dyn Read> = Box::new(self.layer_reader(layer)?);
        let mut archive = Archive::new(reader);
        let walk = || {
            for entry in archive.entries()? {
                let mut entry = entry?;
                let path = String::from_utf8(entry.path_bytes().into_owned())
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                visit(path.trim_end_matches('/'), &mut entry)?;
            }
            io::copy(&mut archive.into_inner(), &mut io::sink()).map(|_| ())
        };
        walk().map_err(ImageError::io(format!("read the layer {}", layer.digest)))
    }
}
