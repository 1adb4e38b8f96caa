//! The image as a folder, for the runner that needs no daemon. Each layer is unpacked once; an
//! image is made of hard links into its layers, so that one with a new preset costs next to
//! nothing. At each use everything is compared with what was unpacked, and put right if need be.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ybox_spec::{Digest, canonical, files};

use super::stamp::Stamp;
use super::unpack::{Record, Unpacked as Entry};
use super::{ImageError, Store, StoredImage, StoredLayer};

/// An unpacked image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The root of the file system.
    pub root: PathBuf,
    /// What had been changed since it was unpacked, and has been put right.
    pub mended: Option<String>,
}

/// An unpacked layer.
struct Layer {
    folder: PathBuf,
    record: Record,
    /// Whether the record has to be written.
    changed: bool,
}

impl Store {
    /// The image's root file system. Unpacked at the first call (after every layer's digests were
    /// checked); later calls compare each entry with what was unpacked then.
    pub fn unpack(&self, image: &StoredImage) -> Result<Unpacked, ImageError> {
        let root = self.rootfs.join(image.config.hex());
        let failed = || {
            let (image, place) = (&image.reference, self.rootfs.display());
            ImageError::io(format!("unpack image {image} in {place}"))
        };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(failed())?;
        fs::create_dir_all(self.rootfs.join("layers")).map_err(failed())?;
        let _lock = files::hold(&self.rootfs.join(".lock"), || ()).map_err(failed())?;
        let mut layers = Vec::new();
        for layer in self.layers(image)? {
            layers.push(self.unpacked_layer(&layer, &boot)?);
        }
        let mended = match root.is_dir() {
            true => first_change(&root, &mut layers, &boot).map_err(failed())?,
            false => None,
        };
        if mended.is_some() || !root.is_dir() {
            for (layer, stored) in layers.iter_mut().zip(self.layers(image)?) {
                if !is_untouched(layer, &boot).map_err(failed())? {
                    *layer = self.unpack_layer(&stored, &boot)?;
                }
            }
            assemble(&self.rootfs, &root, &mut layers).map_err(failed())?;
        }
        for layer in layers.iter_mut().filter(|layer| layer.changed) {
            layer.record.boot.clone_from(&boot);
            layer.save().map_err(failed())?;
        }
        Ok(Unpacked { root, mended })
    }

    /// The layer as it was unpacked before, or now.
    fn unpacked_layer(&self, layer: &StoredLayer, boot: &str) -> Result<Layer, ImageError> {
        let folder = self.layer_folder(layer);
        let record = fs::read(folder.with_extension("json")).ok();
        match record.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(record) if folder.is_dir() => Ok(Layer { folder, record, changed: false }),
            _ => self.unpack_layer(layer, boot),
        }
    }

    fn unpack_layer(&self, layer: &StoredLayer, boot: &str) -> Result<Layer, ImageError> {
        let doing = || format!("unpack the layer {} in {}", layer.digest, self.rootfs.display());
        let failed = || ImageError::io(doing());
        let folder = self.layer_folder(layer);
        let aside = temporary_in(&self.rootfs).map_err(failed())?;
        let mut record = Record { boot: boot.into(), ..Record::default() };
        self.each_entry(layer, |path, entry| record.place(aside.path(), path, entry))
            .map_err(|error| error.writing(doing))?;
        rename_over(aside, &folder).map_err(failed())?;
        let layer = Layer { folder, record, changed: false };
        layer.save().map_err(failed())?;
        Ok(layer)
    }

    fn layer_folder(&self, layer: &StoredLayer) -> PathBuf {
        self.rootfs.join("layers").join(layer.diff_id.hex())
    }
}

impl Layer {
    fn save(&self) -> io::Result<()> {
        let record = canonical::to_bytes(&self.record);
        files::write_atomic(&self.folder.with_extension("json"), &record)
    }
}

fn temporary_in(folder: &Path) -> io::Result<tempfile::TempDir> {
    let mode = Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix(".unpacking-").permissions(mode).tempdir_in(folder)
}

fn rename_over(aside: tempfile::TempDir, to: &Path) -> io::Result<()> {
    match fs::remove_dir_all(to) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => fs::rename(aside.path(), to)?,
    }
    // The folder has moved: there is nothing left to remove at the temporary name.
    let _ = aside.keep();
    Ok(())
}

/// Which layer each path of the image comes from: the uppermost that has it.
fn merged(layers: &[Layer]) -> BTreeMap<&str, (usize, &Entry)> {
    let mut merged = BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        merged.extend(layer.record.entries.iter().map(|(p, e)| (p.as_str(), (number, e))));
    }
    merged
}

/// Makes `root` out of the layers: folders and links anew, files as hard links.
fn assemble(parent: &Path, root: &Path, layers: &mut [Layer]) -> io::Result<()> {
    let aside = temporary_in(parent)?;
    for (path, (layer, entry)) in merged(layers) {
        let place = aside.path().join(path);
        match entry {
            Entry::Folder { mode } => {
                fs::create_dir(&place)?;
                fs::set_permissions(&place, Permissions::from_mode(*mode))?;
            }
            Entry::Link { target } => symlink(target, &place)?,
            Entry::File { .. } => fs::hard_link(layers[layer].folder.join(path), &place)?,
        }
    }
    rename_over(aside, root)?;
    // A new link changes a file's stamp.
    for layer in layers {
        let folder = layer.folder.clone();
        for (path, stamp) in stamps(&mut layer.record) {
            *stamp = Some(Stamp::of(&fs::symlink_metadata(folder.join(path))?));
        }
        layer.changed = true;
    }
    Ok(())
}

fn stamps(record: &mut Record) -> impl Iterator<Item = (&String, &mut Option<Stamp>)> {
    record.entries.iter_mut().filter_map(|(path, entry)| match entry {
        Entry::File { stamp, .. } => Some((path, stamp)),
        _ => None,
    })
}

/// Whether a layer's own files still are what was unpacked.
fn is_untouched(layer: &Layer, boot: &str) -> io::Result<bool> {
    for (path, entry) in &layer.record.entries {
        let Entry::File { mode, sha256, stamp } = entry else { continue };
        let place = layer.folder.join(path);
        let Ok(metadata) = fs::symlink_metadata(&place) else { return Ok(false) };
        if !metadata.is_file() || metadata.permissions().mode() & 0o7777 != *mode {
            return Ok(false);
        }
        let stamp = stamp.filter(|_| layer.record.boot == boot);
        if matches!(compare(&place, sha256, stamp)?, Compared::Other) {
            return Ok(false);
        }
    }
    Ok(true)
}

enum Compared {
    Same,
    /// The content is right, the stamp has moved on.
    Restamped(Stamp),
    Other,
}

/// Compares a file with what it should be: by its stamp, or by its content where that differs.
fn compare(path: &Path, sha256: &Digest, stamp: Option<Stamp>) -> io::Result<Compared> {
    let now = Stamp::of(&fs::symlink_metadata(path)?);
    if stamp == Some(now) {
        return Ok(Compared::Same);
    }
    let same = Digest::of_file(path)?.0 == *sha256;
    Ok(if same { Compared::Restamped(now) } else { Compared::Other })
}

/// The first entry below `root` that is not as the layers say, if any.
fn first_change(root: &Path, layers: &mut [Layer], boot: &str) -> io::Result<Option<String>> {
    let entries = merged(layers);
    let mut seen = HashSet::new();
    if let Some(change) = walk(root, "", &entries, &mut seen)? {
        return Ok(Some(change));
    }
    if let Some(missing) = entries.keys().find(|path| !seen.contains(**path)) {
        return Ok(Some(format!("{missing} is gone")));
    }
    let mut restamped = Vec::new();
    for (path, (layer, entry)) in entries {
        let Entry::File { sha256, stamp, .. } = entry else { continue };
        match compare(
            &root.join(path),
            sha256,
            stamp.filter(|_| layers[layer].record.boot == boot),
        )? {
            Compared::Same => {}
            Compared::Restamped(stamp) => restamped.push((layer, path.to_owned(), stamp)),
            Compared::Other => return Ok(Some(format!("{path} has other content"))),
        }
    }
    for (layer, path, now) in restamped {
        layers[layer].changed = true;
        if let Some(Entry::File { stamp, .. }) = layers[layer].record.entries.get_mut(&path) {
            *stamp = Some(now);
        }
    }
    Ok(None)
}

fn walk(
    root: &Path,
    folder: &str,
    entries: &BTreeMap<&str, (usize, &Entry)>,
    seen: &mut HashSet<String>,
) -> io::Result<Option<String>> {
    for found in fs::read_dir(root.join(folder))? {
        let found = found?;
        let name = found.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let metadata = found.metadata()?;
        let mode = metadata.permissions().mode() & 0o7777;
        let right = match entries.get(path.as_str()) {
            None => return Ok(Some(format!("{path} is not of the image"))),
            Some((_, Entry::Folder { mode: was })) => metadata.is_dir() && mode == *was,
            Some((_, Entry::File { mode: was, .. })) => metadata.is_file() && mode == *was,
            Some((_, Entry::Link { target })) => {
                metadata.is_symlink() && fs::read_link(found.path())? == Path::new(target)
            }
        };
        if !right {
            return Ok(Some(format!("{path} has another kind or mode")));
        }
        if metadata.is_dir()
            && let Some(change) = walk(root, &path, entries, seen)?
        {
            return Ok(Some(change));
        }
        seen.insert(path);
    }
    Ok(None)
}
