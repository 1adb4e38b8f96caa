//! The local store: an OCI layout whose index gives names to manifests. A name that moves on to
//! another image leaves the old one in the index without a name, for the runs that used it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
};
use serde::de::DeserializeOwned;
use ybox_spec::{Digest, files};

use super::blobs::{Blobs, Checked};
use super::packing::Packing;
use super::{ImageError, Reference, StoredImage, oci, usage};
use crate::settings::Settings;
use crate::strict;

pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// In the index, the name of an image whose tag has moved on.
const FORMER_NAME: &str = "ybox.former-name";
/// In the index, the digest of the config, so that listing images opens no blob.
const CONFIG: &str = "ybox.config";

/// The image store under `home`.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) layout: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) blobs: Blobs,
    /// Held as long as the store is open.
    pub(super) usage: Option<Arc<File>>,
}

/// A layer of a stored image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Digest and size of the blob.
    pub digest: Digest,
    pub size: u64,
    pub media_type: MediaType,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

impl Store {
    pub fn open(settings: &Settings) -> Result<Self, ImageError> {
        Self::under(&settings.home)
    }

    /// The store under `home`; made if there is none.
    pub fn under(home: &Path) -> Result<Self, ImageError> {
        let store = Self::unshared(home)?;
        let doing = format!("open the image store {}", store.layout.display());
        let usage = usage::share(&store.layout).map_err(ImageError::io(doing))?;
        Ok(Self { usage, ..store })
    }

    /// The store under `home` without a share in its use.
    pub(super) fn unshared(home: &Path) -> Result<Self, ImageError> {
        let layout = home.join("store");
        let failed = || ImageError::io(format!("open the image store {}", layout.display()));
        let blobs = Blobs::open(&layout).map_err(failed())?;
        if !layout.join("oci-layout").is_file() {
            files::write_atomic(&layout.join("oci-layout"), LAYOUT).map_err(failed())?;
        }
        Ok(Self { layout, rootfs: home.join("rootfs"), blobs, usage: None })
    }

    /// The store under `home` for who only looks: nothing is made, and where there is none, it is
    /// `None`.
    pub fn existing(home: &Path) -> Result<Option<Self>, ImageError> {
        let layout = home.join("store");
        let failed = || ImageError::io(format!("open the image store {}", layout.display()));
        if !layout.join("oci-layout").try_exists().map_err(failed())? {
            return Ok(None);
        }
        let usage = usage::share_existing(&layout).map_err(failed())?;
        let (rootfs, blobs) = (home.join("rootfs"), Blobs::at(&layout));
        Ok(Some(Self { layout, rootfs, blobs, usage }))
    }

    /// All images: named ones first, by name.
    pub fn images(&self) -> Result<Vec<StoredImage>, ImageError> {
        let index = self.index()?;
        let mut images = Vec::new();
        for descriptor in index.manifests() {
            images.push((name_of(descriptor).is_none(), self.stored_image(descriptor)?));
        }
        images.sort_by(|a, b| (a.0, &a.1.reference).cmp(&(b.0, &b.1.reference)));
        Ok(images.into_iter().map(|(_, image)| image).collect())
    }

    /// The image that `wanted` names: a reference (`ybox/cpu:latest`, or `cpu` for `ybox/cpu`),
    /// one with a digest behind `@`, or the beginning of a manifest or config digest.
    pub fn find(&self, wanted: &str) -> Result<StoredImage, ImageError> {
        let images = self.images()?;
        let named = |image: &&StoredImage| fits_name(image, wanted);
        if let Some(image) = images.iter().find(named) {
            return Ok(image.clone());
        }
        let matches: Vec<_> = images.iter().filter(|i| fits_digest(i, wanted)).collect();
        match matches.first() {
            Some(first) if matches.iter().all(|m| m.config == first.config) => Ok((*first).clone()),
            Some(_) => Err(ImageError::Ambiguous {
                wanted: wanted.into(),
                matches: matches.iter().map(|i| i.config.to_string()).collect(),
            }),
            None => Err(ImageError::NotFound {
                wanted: wanted.into(),
                known: images.into_iter().map(|i| i.reference).collect(),
            }),
        }
    }

    /// The images with that config, however their layers are compressed; named ones first.
    pub fn with_config(&self, config: &Digest) -> Result<Vec<StoredImage>, ImageError> {
        let mut images = self.images()?;
        images.retain(|image| image.config == *config);
        Ok(images)
    }

    pub fn manifest(&self, image: &StoredImage) -> Result<ImageManifest, ImageError> {
        self.document(&image.manifest, "manifest")
    }

    pub fn config(&self, image: &StoredImage) -> Result<ImageConfiguration, ImageError> {
        self.document(&image.config, "config")
    }

    /// The folder that the layout lies in.
    pub fn folder(&self) -> &Path {
        &self.layout
    }

    /// Where the blob of that digest lies, or would.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs.path(digest)
    }

    /// Where unfinished files go: on the same file system as the blobs.
    pub fn scratch(&self) -> &Path {
        self.blobs.scratch()
    }

    /// Manifest, config and layers of an image. Neither their content nor whether they are there is
    /// checked, but for the manifest's.
    pub fn blobs_of(&self, image: &StoredImage) -> Result<Vec<Digest>, ImageError> {
        let manifest = self.manifest(image)?;
        let layers = manifest.layers().iter().map(oci::digest_of).collect::<Result<Vec<_>, _>>()?;
        Ok([image.manifest, image.config].into_iter().chain(layers).collect())
    }

    /// All blobs of an image and of what is attached to it: where each lies in the store's folder,
    /// and what it is called. The content of the manifests alone is checked.
    pub fn files_of(&self, image: &StoredImage) -> Result<Vec<(PathBuf, Digest)>, ImageError> {
        let place = |digest: Digest| {
            let path = self.blobs.path(&digest);
            let inside = path.strip_prefix(&self.layout).expect("blobs lie in the layout");
            (inside.to_owned(), digest)
        };
        let blobs = self.blobs_of(image)?.into_iter().chain(self.attached_blobs(image)?);
        Ok(blobs.map(place).collect())
    }

    /// The image's layers, lowest first.
    pub fn layers(&self, image: &StoredImage) -> Result<Vec<StoredLayer>, ImageError> {
        let manifest = self.manifest(image)?;
        let config = self.config(image)?;
        let pairs = oci::paired(&manifest, &config, &format!("image {}", image.reference))?;
        let stored = |(layer, diff_id): (&Descriptor, Digest)| {
            Ok(StoredLayer {
                digest: oci::digest_of(layer)?,
                size: layer.size(),
                media_type: layer.media_type().clone(),
                diff_id,
            })
        };
        pairs.into_iter().map(stored).collect()
    }

    /// The uncompressed tar of a layer. Reading to the end checks both digests; the error then
    /// comes from the last `read`.
    pub fn layer_reader(
        &self,
        layer: &StoredLayer,
    ) -> Result<impl Read + Send + use<>, ImageError> {
        let blob = self.blobs.reader(&layer.digest)?;
        let packing = Packing::of(&layer.media_type, &layer.digest.to_string())?;
        let tar: Box<dyn Read + Send> = match packing {
            Packing::Plain => Box::new(blob),
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(blob)),
            Packing::Zstd => Box::new(
                zstd::Decoder::new(blob)
                    .map_err(ImageError::io(format!("decompress the layer {}", layer.digest)))?,
            ),
        };
        Ok(Checked::new(tar, layer.diff_id))
    }

    /// Names a manifest that is already among the blobs.
    pub(super) fn tag(
        &self,
        reference: &Reference,
        manifest: Descriptor,
        config: &Digest,
    ) -> Result<(), ImageError> {
        let manifest = annotated(manifest, CONFIG, &config.to_string());
        self.change_index(|entries| retagged(entries, reference, manifest))
    }

    /// Changes what the index lists, which nobody else changes meanwhile.
    pub(super) fn change_index(
        &self,
        change: impl FnOnce(&[Descriptor]) -> Vec<Descriptor>,
    ) -> Result<(), ImageError> {
        let _lock = self.lock()?;
        let before = self.index()?;
        let after = oci::index(change(before.manifests()));
        if after == before {
            return Ok(());
        }
        let doing = format!("write the index of the image store {}", self.layout.display());
        files::write_atomic(&self.layout.join("index.json"), &oci::bytes(&after))
            .map_err(ImageError::io(doing))
    }

    /// Keeps others from changing what the store lists; released when dropped.
    pub(super) fn lock(&self) -> Result<File, ImageError> {
        files::hold(&self.layout.join(".lock"), || ())
            .map_err(ImageError::io(format!("lock the image store {}", self.layout.display())))
    }

    pub(super) fn index(&self) -> Result<ImageIndex, ImageError> {
        match fs::read(self.layout.join("index.json")) {
            Ok(bytes) => parse(&bytes, "the index of the image store"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(oci::index(Vec::new())),
            Err(e) => Err(ImageError::io("read the index of the image store")(e)),
        }
    }

    pub(super) fn stored_image(&self, descriptor: &Descriptor) -> Result<StoredImage, ImageError> {
        let digest = oci::digest_of(descriptor)?;
        let reference = match name_of(descriptor) {
            Some(name) => name.clone(),
            None => format!("{}@{digest}", former_name(descriptor)),
        };
        let config = match annotation(descriptor, CONFIG) {
            Some(config) => oci::parse_digest(config)?,
            None => {
                let manifest: ImageManifest = self.document(&digest, "manifest")?;
                oci::digest_of(manifest.config())?
            }
        };
        Ok(StoredImage { reference, manifest: digest, config })
    }

    fn document<T: DeserializeOwned>(&self, digest: &Digest, kind: &str) -> Result<T, ImageError> {
        parse(&self.blobs.read(digest)?, &format!("the {kind} {digest}"))
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, ImageError> {
    strict::parse(bytes).map_err(|e| ImageError::malformed(what, e))
}

fn annotation<'a>(descriptor: &'a Descriptor, key: &str) -> Option<&'a String> {
    descriptor.annotations().as_ref()?.get(key)
}

pub(super) fn name_of(descriptor: &Descriptor) -> Option<&String> {
    annotation(descriptor, ANNOTATION_REF_NAME)
}

fn former_name(descriptor: &Descriptor) -> &str {
    annotation(descriptor, FORMER_NAME).map_or("unnamed", String::as_str)
}

/// The index's entries with `reference` naming `manifest`, sorted by name and digest.
fn retagged(before: &[Descriptor], reference: &Reference, manifest: Descriptor) -> Vec<Descriptor> {
    let name = reference.short();
    let mut entries: Vec<Descriptor> = Vec::new();
    for entry in before {
        if name_of(entry) != Some(&name) {
            entries.push(entry.clone());
        } else if entry.digest() != manifest.digest() {
            entries.push(nameless(entry.clone(), &reference.name));
        }
    }
    entries.push(annotated(manifest, ANNOTATION_REF_NAME, &name));
    // A named entry makes a nameless one of the same manifest superfluous.
    let is_named = |e: &Descriptor| name_of(e).is_some();
    let named: Vec<_> =
        entries.iter().filter(|e| is_named(e)).map(|e| e.digest().clone()).collect();
    entries.retain(|e| is_named(e) || !named.contains(e.digest()));
    entries.sort_by_key(|e| (name_of(e).cloned(), e.digest().to_string()));
    entries.dedup();
    entries
}

fn annotated(mut descriptor: Descriptor, key: &str, value: &str) -> Descriptor {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.insert(key.to_owned(), value.to_owned());
    descriptor.set_annotations(Some(annotations));
    descriptor
}

fn nameless(mut descriptor: Descriptor, former_name: &str) -> Descriptor {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.remove(ANNOTATION_REF_NAME);
    descriptor.set_annotations(Some(annotations));
    annotated(descriptor, FORMER_NAME, former_name)
}

fn fits_name(image: &StoredImage, wanted: &str) -> bool {
    let Ok(reference) = wanted.parse::<Reference>() else { return false };
    let digest_fits = reference.digest.is_none_or(|d| d == image.manifest || d == image.config);
    let names = [reference.short(), format!("ybox/{}", reference.short())];
    digest_fits
        && match &reference.tag {
            Some(_) => names.contains(&image.reference),
            None => true,
        }
}

fn fits_digest(image: &StoredImage, wanted: &str) -> bool {
    const SHORTEST: usize = 4;
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    digits.len() >= SHORTEST
        && [image.manifest, image.config].iter().any(|d| d.hex().starts_with(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_with(names: &[(&str, &str)]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::under(dir.path()).unwrap();
        for (name, content) in names {
            add(&store, name, content);
        }
        (dir, store)
    }

    fn add(store: &Store, name: &str, content: &str) -> Digest {
        let config = store.blobs.put(content.as_bytes()).unwrap();
        let described = oci::descriptor(MediaType::ImageConfig, &config, content.len() as u64);
        let bytes = oci::bytes(&oci::manifest(described, Vec::new()));
        store.blobs.put(&bytes).unwrap();
        let manifest = oci::describe(MediaType::ImageManifest, &bytes);
        store.tag(&name.parse().unwrap(), manifest, &config).unwrap();
        Digest::of(&bytes)
    }

    #[test]
    fn finds_by_name_and_by_digest() {
        let (_dir, store) = store_with(&[("ybox/cpu", "a"), ("ybox/cpu:old", "b")]);
        let image = store.find("cpu").unwrap();
        assert_eq!((image.reference.as_str(), image.config), ("ybox/cpu:latest", Digest::of(b"a")));
        for wanted in [
            "ybox/cpu".to_owned(),
            image.manifest.to_string(),
            image.config.to_string(),
            image.config.hex()[..8].to_owned(),
            format!("ybox/cpu:latest@{}", image.manifest),
            format!("ybox/cpu@{}", image.manifest),
        ] {
            assert_eq!(store.find(&wanted).unwrap(), image, "{wanted}");
        }
        let other = store.find("cpu:old").unwrap();
        assert!(store.find(&format!("ybox/cpu:latest@{}", other.manifest)).is_err());
        let missing = store.find("cuda13").unwrap_err().to_string();
        assert_eq!(missing, "no image `cuda13` in the store; it has ybox/cpu:latest, ybox/cpu:old");
    }

    #[test]
    fn an_image_whose_name_moved_on_is_still_found_by_digest() {
        let (_dir, store) = store_with(&[("ybox/cpu", "a"), ("ybox/cpu", "b")]);
        let old = store.find(&Digest::of(b"a").to_string()).unwrap();
        assert_eq!(old.reference, format!("ybox/cpu@{}", old.manifest));
        assert_eq!(store.find("cpu").unwrap().config, Digest::of(b"b"));
        add(&store, "ybox/cpu", "a");
        add(&store, "ybox/cpu", "a");
        let names: Vec<_> = store.images().unwrap().into_iter().map(|i| i.reference).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(store.find("cpu").unwrap().config, Digest::of(b"a"));
    }
}
