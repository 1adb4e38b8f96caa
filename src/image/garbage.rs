//! What nothing in the store needs any more: blobs that no image names, what interrupted work left,
//! unpacked images that the store no longer has. Nothing that an image of the index needs is garbage.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_spec::image::Descriptor;
use serde::Serialize;
use ybox_spec::Digest;

use super::pack::PackedLayer;
use super::store::name_of;
use super::{ImageError, Store, StoredImage, oci};

/// A file or folder that can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Garbage {
    pub kind: Kind,
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A blob of no image and of nothing that is attached to one; a list that names such blobs.
    Blob,
    /// What an interrupted build, pull or unpacking left.
    Unfinished,
    /// An unpacked image or layer that the store has no image for.
    Unpacked,
    /// Decoded pictures that no run is using.
    Pictures,
    /// A download that no lock names.
    Download,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Unfinished => "unfinished files",
            Self::Unpacked => "unpacked images",
            Self::Pictures => "decoded pictures",
            Self::Download => "downloads",
        }
    }
}

impl Store {
    /// Images whose name has moved on to another.
    pub fn former(&self) -> Result<Vec<StoredImage>, ImageError> {
        let index = self.index()?;
        let nameless = index.manifests().iter().filter(|entry| name_of(entry).is_none());
        nameless.map(|entry| self.stored_image(entry)).collect()
    }

    /// What can go if the images `without` go, too.
    pub fn garbage(&self, without: &[StoredImage]) -> Result<Vec<Garbage>, ImageError> {
        let failed = || ImageError::io(format!("look through {}", self.layout.display()));
        let kept = self.kept(without)?;
        let mut garbage = Vec::new();
        let mut add = |kind, path| garbage.push(Garbage { kind, path });
        for path in entries(&self.layout.join("blobs/sha256")).map_err(failed())? {
            if digest_named(&path).is_some_and(|digest| !kept.blobs.contains(&digest)) {
                add(Kind::Blob, path);
            }
        }
        for path in entries(&self.layout.join("layers")).map_err(failed())? {
            let record = fs::read(&path).ok();
            let layer: Option<PackedLayer> = record.and_then(|b| serde_json::from_slice(&b).ok());
            if !layer.is_some_and(|layer| kept.blobs.contains(&layer.digest)) {
                add(Kind::Blob, path);
            }
        }
        for path in entries(&self.layout.join("attached")).map_err(failed())? {
            let config = digest_named(&path.with_extension(""));
            if config.is_some_and(|config| !kept.configs.contains(&config)) {
                add(Kind::Blob, path);
            }
        }
        for path in entries(self.scratch()).map_err(failed())? {
            add(Kind::Unfinished, path);
        }
        for path in entries(&self.rootfs).map_err(failed())? {
            match digest_named(&path) {
                Some(config) if !kept.configs.contains(&config) => add(Kind::Unpacked, path),
                None if name(&path).starts_with(".unpacking-") => add(Kind::Unfinished, path),
                _ => {}
            }
        }
        for path in entries(&self.rootfs.join("layers")).map_err(failed())? {
            let layer = digest_named(&path.with_extension(""));
            if layer.is_some_and(|diff_id| !kept.diff_ids.contains(&diff_id)) {
                add(Kind::Unpacked, path);
            }
        }
        Ok(garbage)
    }

    /// Takes images whose name has moved on out of the index. Their blobs are garbage from then on,
    /// as far as no other image has them. The store has to be opened [`Store::alone`].
    pub fn forget(&self, former: &[StoredImage]) -> Result<(), ImageError> {
        let goes = |entry: &Descriptor| {
            let digest = oci::digest_of(entry).ok();
            name_of(entry).is_none() && former.iter().any(|image| Some(image.manifest) == digest)
        };
        self.change_index(|entries| entries.iter().filter(|e| !goes(e)).cloned().collect())
    }

    /// What images need. An image that cannot be read stops it: who knows what it needs?
    fn kept(&self, without: &[StoredImage]) -> Result<Kept, ImageError> {
        let mut kept = Kept::default();
        for image in self.images()?.iter().filter(|image| !without.contains(image)) {
            let layers = self.layers(image)?;
            kept.configs.insert(image.config);
            kept.blobs.extend([image.manifest, image.config]);
            kept.blobs.extend(layers.iter().map(|layer| layer.digest));
            kept.blobs.extend(self.attached_blobs(image)?);
            kept.diff_ids.extend(layers.iter().map(|layer| layer.diff_id));
        }
        Ok(kept)
    }
}

#[derive(Default)]
struct Kept {
    blobs: BTreeSet<Digest>,
    configs: BTreeSet<Digest>,
    diff_ids: BTreeSet<Digest>,
}

/// Removes it. What is gone already is no error.
pub fn remove(garbage: &[Garbage]) -> Result<(), ImageError> {
    for Garbage { path, .. } in garbage {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(ImageError::io(format!("remove {}", path.display()))(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Bytes on disk below each of `paths` that would be free without all of them: a file with a link
/// from elsewhere frees nothing.
pub fn sizes(paths: &[&Path]) -> Vec<u64> {
    let mut links: HashMap<(u64, u64), (u64, u64, usize, u64)> = HashMap::new();
    for (number, path) in paths.iter().enumerate() {
        each_file(path, &mut |meta| {
            let entry = links.entry((meta.dev(), meta.ino()));
            let (seen, ..) = entry.or_insert((0, meta.nlink(), number, meta.blocks() * 512));
            *seen += 1;
        });
    }
    let mut sizes = vec![0; paths.len()];
    for (seen, nlink, number, bytes) in links.into_values() {
        if seen >= nlink {
            sizes[number] += bytes;
        }
    }
    sizes
}

fn each_file(path: &Path, act: &mut dyn FnMut(&fs::Metadata)) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if !meta.is_dir() {
        return act(&meta);
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        each_file(&entry.path(), act);
    }
}

/// The paths in a folder, which may not exist, in their order.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut paths: Vec<_> =
        found.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn digest_named(path: &Path) -> Option<Digest> {
    Digest::from_hex(&name(path)).ok()
}
