//! An archive that was carried here. All of it is read into files without a name in the store and
//! checked, before anything of it is seen.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use tar::EntryType;
use tempfile::{NamedTempFile, TempPath};
use ybox_spec::{Digest, record};

use super::blobs::LARGEST_DOCUMENT;
use super::carry::{LARGEST_LAYER, LIST, List, Listed, MOST_ATTACHED, SCHEMA};
use super::hashing::HashingReader;
use super::input::Bounded;
use super::oci::Outline;
use super::store::parse;
use super::{Artifact, ImageError, Reference, Store, StoredImage, oci};

const MOST_MEMBERS: usize = 1 << 16;
const INDEX: &str = "index.json";

/// An archive that is whole and fits together; nothing of it has a name yet.
#[derive(Debug)]
pub struct Arrival {
    pub reference: Reference,
    /// Digests of the manifests of the image: the archive's own, and those that may be signed.
    pub manifests: Vec<Digest>,
    pub config: Digest,
    /// None of it is believed yet.
    pub artifacts: Vec<Artifact>,
    /// The files of the run that comes along, if one does; their names are not believed yet.
    pub run: Vec<record::Artifact>,
    manifest: Vec<u8>,
    others: BTreeMap<Digest, Vec<u8>>,
    blobs: BTreeMap<Digest, TempPath>,
}

/// The members of an archive.
#[derive(Default)]
struct Members {
    documents: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<Digest, TempPath>,
}

impl Arrival {
    pub fn read(store: &Store, path: &Path) -> Result<Self, ImageError> {
        let what = format!("the archive {}", path.display());
        let members = Members::read(store, path, &what)?;
        let list: List = parse(members.document(LIST, &what)?, LIST)?;
        if list.schema != SCHEMA {
            return Err(ImageError::malformed(what, format!("its form is {}", list.schema)));
        }
        let index = members.document(INDEX, &what)?;
        refuse_both(index, INDEX)?;
        let index: ImageIndex = parse(index, INDEX)?;
        let [entry] = index.manifests().as_slice() else {
            return Err(ImageError::malformed(what, "it has not exactly one image"));
        };
        let digest = oci::digest_of(entry)?;
        let (own, manifest) = members.manifest(&digest)?;
        let config = oci::digest_of(manifest.config())?;
        members.check_layers(&manifest, &config)?;
        if list.attached.len() + list.manifests.len() > MOST_ATTACHED {
            let why = format!("it lists more than {MOST_ATTACHED} attachments");
            return Err(ImageError::malformed(what, why));
        }
        let named = list.manifests.iter().chain([&list.manifest]).filter(|d| **d != digest);
        let others = named
            .map(|digest| Ok((*digest, members.manifest_of(digest, &config, &what)?)))
            .collect::<Result<BTreeMap<_, _>, ImageError>>()?;
        if let Some(file) = list.run.iter().find(|file| !members.blobs.contains_key(&file.sha256)) {
            return Err(ImageError::malformed(what, format!("it lacks the run's {}", file.path)));
        }
        Ok(Self {
            reference: list.reference.parse::<Reference>()?.of(digest),
            manifests: others.keys().copied().chain([digest]).collect(),
            config,
            artifacts: members.artifacts(&list.attached, &what)?,
            run: list.run,
            manifest: own,
            others,
            blobs: members.blobs,
        })
    }

    /// The image as it will be in the store.
    fn image(&self) -> StoredImage {
        let manifest = Digest::of(&self.manifest);
        StoredImage { reference: self.reference.short(), manifest, config: self.config }
    }

    /// One of its blobs, such as a file of the run.
    pub fn open(&self, digest: &Digest) -> io::Result<File> {
        self.blobs.get(digest).map_or_else(|| Err(ErrorKind::NotFound.into()), File::open)
    }

    /// Puts the image with what is attached to it in the store; the name comes last.
    pub fn settle(mut self, store: &Store) -> Result<StoredImage, ImageError> {
        let place = store.folder().display();
        let failed = || ImageError::io(format!("bring the image into the store {place}"));
        let manifest: ImageManifest = parse(&self.manifest, "the manifest")?;
        for blob in oci::blobs(&manifest) {
            let digest = oci::digest_of(blob)?;
            if let Some(path) = self.blobs.remove(&digest) {
                let file = OpenOptions::new().write(true).open(&path).map_err(failed())?;
                let file = NamedTempFile::from_parts(file, path);
                store.blobs.adopt(file, &digest).map_err(failed())?;
            }
        }
        for manifest in self.others.values() {
            store.blobs.put(manifest).map_err(failed())?;
        }
        let others: Vec<_> = self.others.keys().copied().collect();
        store.list_siblings(&self.config, &others)?;
        store.take_in(&self.image(), &self.artifacts)?;
        store.add(&self.reference, MediaType::ImageManifest, &self.manifest)
    }
}

impl Members {
    fn read(store: &Store, path: &Path, what: &str) -> Result<Self, ImageError> {
        let failed = || ImageError::io(format!("read {what}"));
        let mut archive = tar::Archive::new(BufReader::new(File::open(path).map_err(failed())?));
        let mut members = Self::default();
        for (count, entry) in archive.entries().map_err(failed())?.enumerate() {
            let mut entry = entry.map_err(failed())?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let refuse =
                |why: &str| Err(ImageError::malformed(what, format!("its member `{name}` {why}")));
            match entry.header().entry_type() {
                EntryType::Directory => continue,
                EntryType::Regular if count < MOST_MEMBERS => {}
                EntryType::Regular => return refuse("is one too many"),
                _ => return refuse("is a link or another special file"),
            }
            let new = match name.strip_prefix("blobs/sha256/").map(Digest::from_hex) {
                Some(Ok(digest)) => {
                    let file = arrived(store, &mut entry, &digest, what)?;
                    members.blobs.insert(digest, file).is_none()
                }
                None if [LIST, INDEX, "manifest.json", "oci-layout"].contains(&name.as_str()) => {
                    let bytes = small(&mut entry, LARGEST_DOCUMENT).map_err(failed())?;
                    members.documents.insert(name.clone(), bytes).is_none()
                }
                _ => return refuse("is not of an image's archive"),
            };
            if !new {
                return refuse("occurs twice");
            }
        }
        Ok(members)
    }

    fn document(&self, name: &str, what: &str) -> Result<&[u8], ImageError> {
        let found = self.documents.get(name).map(Vec::as_slice);
        found.ok_or_else(|| {
            ImageError::malformed(what, format!("it has no {name}: `ybox export` did not write it"))
        })
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, ImageManifest), ImageError> {
        let bytes = self.bytes(digest, LARGEST_DOCUMENT)?;
        let what = format!("the manifest {digest}");
        refuse_both(&bytes, &what)?;
        let parsed = parse(&bytes, &what)?;
        Ok((bytes, parsed))
    }

    /// A manifest of the image `config`.
    fn manifest_of(
        &self,
        digest: &Digest,
        config: &Digest,
        what: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let (bytes, manifest) = self.manifest(digest)?;
        match oci::digest_of(manifest.config())? == *config {
            true => Ok(bytes),
            false => Err(ImageError::malformed(what, "its manifests are of different images")),
        }
    }

    /// A small blob, of at most `limit` bytes.
    fn bytes(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
        let failed = || ImageError::io(format!("read the blob {digest}"));
        small(self.open(digest)?, limit).map_err(failed())
    }

    fn open(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.blobs.get(digest).ok_or(ImageError::MissingBlob(*digest))?;
        File::open(path).map_err(ImageError::io(format!("read the blob {digest}")))
    }

    /// Every layer has to unpack to what the config says.
    fn check_layers(&self, manifest: &ImageManifest, config: &Digest) -> Result<(), ImageError> {
        let bytes = self.bytes(config, LARGEST_DOCUMENT)?;
        let config: ImageConfiguration = parse(&bytes, &format!("the config {config}"))?;
        let pairs = oci::paired(manifest, &config, "the image")?;
        pairs.iter().try_for_each(|(layer, diff_id)| self.check_layer(layer, diff_id))
    }

    fn check_layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<(), ImageError> {
        let digest = oci::digest_of(layer)?;
        let what = format!("the layer {digest}");
        if *layer.media_type() != MediaType::ImageLayerGzip {
            let why = format!("its media type is {}", layer.media_type());
            return Err(ImageError::malformed(what, why));
        }
        let tar = flate2::read::MultiGzDecoder::new(BufReader::new(self.open(&digest)?));
        let found = Digest::of_reader(Bounded::new(tar, LARGEST_LAYER))
            .map_err(ImageError::io(format!("unpack {what}")))?;
        match found.0 == *diff_id {
            true => Ok(()),
            false => {
                let why = format!("it unpacks to {}, the config says {diff_id}", found.0);
                Err(ImageError::malformed(what, why))
            }
        }
    }

    /// What is listed as attached, within bounds.
    fn artifacts(&self, listed: &[Listed], what: &str) -> Result<Vec<Artifact>, ImageError> {
        let mut left = Artifact::LARGEST * Artifact::MOST as u64;
        let mut artifacts = Vec::new();
        for Listed { kind, manifest: digest } in listed {
            let (bytes, manifest) = self.manifest(digest)?;
            let too_large = |why| ImageError::malformed(format!("the attachment {digest}"), why);
            let size = Artifact::size(&manifest).map_err(too_large)? + bytes.len() as u64;
            left = left.checked_sub(size).ok_or_else(|| {
                ImageError::malformed(what, "more is attached than is read into memory")
            })?;
            let read = |blob: &Descriptor| {
                self.bytes(&oci::digest_of(blob)?, blob.size().min(LARGEST_DOCUMENT))
            };
            artifacts.push(Artifact::gather(kind, bytes, read)?);
        }
        Ok(artifacts)
    }
}

/// Writes a blob to a file without a name; its content has to be what it is called.
fn arrived(
    store: &Store,
    content: &mut impl Read,
    digest: &Digest,
    what: &str,
) -> Result<TempPath, ImageError> {
    let place = store.scratch().display();
    let failed = || ImageError::io(format!("copy from {what} to {place}"));
    let mut file = store.blobs.temporary().map_err(failed())?;
    let mut hashing = HashingReader::new(content);
    io::copy(&mut hashing, file.as_file_mut()).map_err(failed())?;
    match hashing.finish() {
        found if found == *digest => Ok(file.into_temp_path()),
        found => {
            let why = format!("its blob {digest} hashes to {found}");
            Err(ImageError::malformed(what, why))
        }
    }
}

/// A document that means two things under one digest is refused.
fn refuse_both(bytes: &[u8], what: &str) -> Result<(), ImageError> {
    let outline: Outline = parse(bytes, what)?;
    match outline.is_both() {
        true => Err(ImageError::malformed(what, "it is manifest and index at once")),
        false => Ok(()),
    }
}

/// All of a document.
fn small(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Bounded::new(reader, limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
