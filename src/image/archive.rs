//! The archive that engines load: an OCI layout and a Docker `manifest.json` in one tar, with
//! uncompressed layers (Docker 20.10 refuses zstd in a load, and locally nothing is gained by
//! compressing). Layers that the engine already has can be left out: a delta, which an engine
//! without them refuses cleanly.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, MediaType};
use serde_json::json;
use ybox_spec::{Digest, files};

use super::content::Content;
use super::layer::{Node, Tree, TreeError};
use super::{ImageError, Reference, Store, StoredImage, StoredLayer, oci};

/// Chunks in flight between the thread that makes the archive and the one that sends it.
const CHUNKS: usize = 8;
const CHUNK: usize = 256 * 1024;

/// An archive that is written as it is read.
pub struct Archive {
    tree: Tree,
    manifest: Digest,
}

impl Archive {
    /// The archive of `image` without the layers whose DiffIDs are in `leave_out`.
    pub fn new(
        store: &Store,
        image: &StoredImage,
        leave_out: &BTreeSet<Digest>,
    ) -> Result<Self, ImageError> {
        let layers = store.layers(image)?;
        let mut archive = Self::empty(image.manifest);
        let mut descriptors = Vec::new();
        for layer in &layers {
            let size = store.unpacked_size(layer)?;
            descriptors.push(oci::descriptor(MediaType::ImageLayer, &layer.diff_id, size));
            let twice = archive.tree.nodes().any(|(path, _)| path == blob_path(&layer.diff_id));
            if !twice && !leave_out.contains(&layer.diff_id) {
                archive.add(&blob_path(&layer.diff_id), layer_content(store, layer, size))?;
            }
        }
        let digests: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        archive.finish(store, image, descriptors, &digests)?;
        Ok(archive)
    }

    pub(super) fn empty(manifest: Digest) -> Self {
        Self { tree: Tree::new(), manifest }
    }

    /// Adds config, manifest and what names them. `digests` are the layers' blobs.
    pub(super) fn finish(
        &mut self,
        store: &Store,
        image: &StoredImage,
        descriptors: Vec<Descriptor>,
        digests: &[Digest],
    ) -> Result<(), ImageError> {
        let config = store.blobs.read(&image.config)?;
        let described = oci::describe(MediaType::ImageConfig, &config);
        let manifest = oci::bytes(&oci::manifest(described, descriptors));
        self.manifest = Digest::of(&manifest);
        self.add(&blob_path(&image.config), Content::bytes(config))?;
        self.add_documents(&image.reference.parse()?, image, digests, manifest)
    }

    /// Digest of the manifest inside, which names uncompressed layers: the image ID that an engine
    /// with containerd's store shows.
    pub fn manifest(&self) -> Digest {
        self.manifest
    }

    /// Bytes of the whole archive.
    pub fn size(&self) -> u64 {
        self.tree.tar_size()
    }

    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.tree.write(out)
    }

    pub fn write_file(&self, path: &Path) -> Result<(), ImageError> {
        files::replace_atomic(path, |file: &mut File| {
            let mut out = io::BufWriter::new(file);
            self.write(&mut out)?;
            out.flush()
        })
        .map_err(ImageError::io(format!(
            "write the archive {} ({} bytes)",
            path.display(),
            self.size()
        )))
    }

    /// The archive's bytes as a stream, made by a thread of its own; an error ends it.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS);
        std::thread::spawn(move || {
            let mut out = io::BufWriter::with_capacity(CHUNK, ChunkWriter(sender.clone()));
            if let Err(error) = self.write(&mut out).and_then(|()| out.flush()) {
                // Dropped as it is, the writer would send what it still holds after the error.
                let _ = out.into_parts();
                // Nobody listens any more if this fails.
                let _ = sender.blocking_send(Err(error));
            }
        });
        futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        })
    }

    pub(super) fn add(&mut self, path: &str, content: Content) -> Result<(), ImageError> {
        self.tree
            .insert(path, Node::File { executable: false, content }, "the image")
            .map_err(|e: TreeError| ImageError::malformed("the image", e))
    }

    fn add_documents(
        &mut self,
        reference: &Reference,
        image: &StoredImage,
        layers: &[Digest],
        manifest: Vec<u8>,
    ) -> Result<(), ImageError> {
        let mut described = oci::describe(MediaType::ImageManifest, &manifest);
        let tags = reference.tag.as_ref().map(|tag| (tag.clone(), reference.short()));
        if let Some((tag, name)) = &tags {
            // containerd takes the full name from its own annotation, others the tag from OCI's.
            described.set_annotations(Some(
                [(ANNOTATION_REF_NAME, tag.clone()), ("io.containerd.image.name", full_name(name))]
                    .map(|(key, value)| (key.to_owned(), value))
                    .into(),
            ));
        }
        let docker = json!([{
            "Config": blob_path(&image.config),
            "RepoTags": tags.map(|(_, name)| vec![name]),
            "Layers": layers.iter().map(blob_path).collect::<Vec<_>>(),
        }]);
        self.add(&blob_path(&self.manifest.clone()), Content::bytes(manifest))?;
        self.add("index.json", Content::bytes(oci::bytes(&oci::index(vec![described]))))?;
        self.add("manifest.json", Content::bytes(oci::bytes(&docker)))?;
        self.add("oci-layout", Content::bytes(super::store::LAYOUT))
    }
}

impl Store {
    /// Bytes of a layer's tar. A zstd frame of ours says so itself; others are counted.
    pub(super) fn unpacked_size(&self, layer: &StoredLayer) -> Result<u64, ImageError> {
        let failed = || ImageError::io(format!("read the layer {}", layer.digest));
        match layer.media_type {
            MediaType::ImageLayer => return Ok(layer.size),
            MediaType::ImageLayerZstd => {
                let mut start = Vec::new();
                let blob = self.blobs.reader(&layer.digest)?;
                blob.take(18).read_to_end(&mut start).map_err(failed())?;
                if let Ok(Some(size)) = zstd::zstd_safe::get_frame_content_size(&start) {
                    return Ok(size);
                }
            }
            _ => {}
        }
        io::copy(&mut self.layer_reader(layer)?, &mut io::sink()).map_err(failed())
    }
}

fn layer_content(store: &Store, layer: &StoredLayer, size: u64) -> Content {
    let (store, layer) = (store.clone(), layer.clone());
    let open = move || -> io::Result<Box<dyn Read>> {
        let reader = store.layer_reader(&layer).map_err(io::Error::other)?;
        Ok(Box::new(reader))
    };
    Content::Stream { size, open: Arc::new(open) }
}

pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// As containerd writes names: with the registry that Docker implies.
fn full_name(name: &str) -> String {
    let first = name.split('/').next().unwrap_or_default();
    let has_host = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    match (has_host, name.contains('/')) {
        (true, _) => name.to_owned(),
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    }
}

struct ChunkWriter(tokio::sync::mpsc::Sender<io::Result<Bytes>>);

impl Write for ChunkWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(buffer);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
