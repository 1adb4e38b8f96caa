//! The archive that is carried to another machine: what engines load, with gzip layers, and beside it
//! what is attached to the image. Signatures name the manifest in the store: it goes along, and its
//! config ties it to the layers, however they are compressed. A run that ran in it may go along too.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, record};

use super::archive::{Archive, blob_path};
use super::blobs::LARGEST_DOCUMENT;
use super::content::{Content, Spool};
use super::hashing::HashingReader;
use super::{ImageError, Store, StoredImage, StoredLayer, oci};

/// Most that one layer may have, packed or unpacked: what a stream grows to is not known before.
pub(super) const LARGEST_LAYER: u64 = 64 << 30;

/// Far more than anything has: all of it is read into memory.
pub(super) const MOST_ATTACHED: usize = 64;

pub(super) const LIST: &str = "ybox.json";
pub(super) const SCHEMA: &str = "ybox.archive/v1";

/// `ybox.json`: what the engines' own documents do not say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub schema: String,
    /// Name and tag.
    pub reference: String,
    /// Digest of the manifest in the store that it comes from.
    pub manifest: Digest,
    /// Of further manifests of the same content, which signatures may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
    pub attached: Vec<Listed>,
    /// The files of the run that goes along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<record::Artifact>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub kind: String,
    pub manifest: Digest,
}

impl Archive {
    /// The archive of `image` and of what is attached to it, and of a run in it: its folder and its
    /// files there.
    pub fn carried(
        store: &Store,
        image: &StoredImage,
        run: Option<(&Path, &[record::Artifact])>,
    ) -> Result<Self, ImageError> {
        let place = store.scratch().display();
        let failed = ImageError::io(format!("make a scratch file in {place}"));
        let mut spool = Spool::new(store.scratch()).map_err(failed)?;
        let mut archive = Self::empty(image.manifest);
        let (mut there, mut layers, mut digests) = (BTreeSet::new(), Vec::new(), Vec::new());
        for layer in store.layers(image)? {
            let (content, digest) = gzipped(store, &layer, &mut spool)?;
            layers.push(oci::descriptor(MediaType::ImageLayerGzip, &digest, content.size()));
            if there.insert(digest) {
                archive.add(&blob_path(&digest), content)?;
            }
            digests.push(digest);
        }
        archive.finish(store, image, layers, &digests)?;
        there.extend([image.config, archive.manifest()]);
        let mut manifests = store.manifests_of(image)?;
        let attached = archive.add_attached(store, image, &manifests, &mut there)?;
        manifests.retain(|manifest| ![image.manifest, archive.manifest()].contains(manifest));
        let mut list = List {
            schema: SCHEMA.into(),
            reference: image.reference.clone(),
            manifest: image.manifest,
            manifests,
            attached,
            run: Vec::new(),
        };
        if let Some((folder, files)) = run {
            archive.add_run(folder, files, &mut there)?;
            list.run = files.to_vec();
        }
        archive.add_list(&list)?;
        Ok(archive)
    }

    fn add_attached(
        &mut self,
        store: &Store,
        image: &StoredImage,
        manifests: &[Digest],
        there: &mut BTreeSet<Digest>,
    ) -> Result<Vec<Listed>, ImageError> {
        let mut attached = Vec::new();
        let mut blobs = manifests
            .iter()
            .map(|digest| store.blobs.read(digest))
            .collect::<Result<Vec<_>, _>>()?;
        let artifacts = store.artifacts(image)?;
        if artifacts.len() + manifests.len() > MOST_ATTACHED {
            let doing = format!("list the {} attachments of the image in {LIST}", artifacts.len());
            return Err(ImageError::io(doing)(ErrorKind::FileTooLarge.into()));
        }
        for artifact in artifacts {
            let (kind, manifest) = (artifact.kind().to_owned(), artifact.digest());
            attached.push(Listed { kind, manifest });
            blobs.extend(artifact.blobs().map(|(_, bytes)| bytes.to_vec()));
            blobs.push(artifact.manifest_bytes().to_vec());
        }
        for blob in blobs {
            let digest = Digest::of(&blob);
            if there.insert(digest) {
                self.add(&blob_path(&digest), Content::bytes(blob))?;
            }
        }
        Ok(attached)
    }

    fn add_run(
        &mut self,
        folder: &Path,
        files: &[record::Artifact],
        there: &mut BTreeSet<Digest>,
    ) -> Result<(), ImageError> {
        for file in files.iter().filter(|file| there.insert(file.sha256)) {
            self.add(&blob_path(&file.sha256), file_content(folder.join(&file.path), file.size))?;
        }
        Ok(())
    }

    fn add_list(&mut self, list: &List) -> Result<(), ImageError> {
        let bytes = oci::bytes(list);
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            let doing = format!("list the run's {} files in {LIST}", list.run.len());
            return Err(ImageError::io(doing)(ErrorKind::FileTooLarge.into()));
        }
        self.add(LIST, Content::bytes(bytes))
    }
}

fn file_content(path: PathBuf, size: u64) -> Content {
    let open = move || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(&path)?)) };
    Content::Stream { size, open: Arc::new(open) }
}

fn gzipped(
    store: &Store,
    layer: &StoredLayer,
    spool: &mut Spool,
) -> Result<(Content, Digest), ImageError> {
    let tar = store.layer_reader(layer)?;
    let mut hashing = HashingReader::new(flate2::read::GzEncoder::new(tar, Compression::default()));
    let content = spool
        .add(&mut hashing, LARGEST_LAYER)
        .map_err(ImageError::io(format!("compress the layer {}", layer.digest)))?;
    Ok((content, hashing.finish()))
}
