//! Writing a layer into the store, and the cache that knows which layer came from which inputs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, canonical, files};

use super::hashing::HashingWriter;
use super::layer::{Node, PACKER_REVISION, Tree};
use super::sbom::Licences;
use super::stamp::Stamp;
use super::{ImageError, Store, elf};

/// Compression of layers. The output also depends on whether there are workers, not on how many.
const LEVEL: i32 = 9;
const MOST_WORKERS: usize = 8;

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedLayer {
    pub name: String,
    /// Digest and size of the uncompressed tar.
    pub diff_id: Digest,
    pub unpacked: u64,
    /// Digest and size of the blob.
    pub digest: Digest,
    pub size: u64,
    /// What is in it, by path.
    pub contents: BTreeMap<String, Kind>,
    /// Those of the packages that its files come from.
    pub licences: Licences,
    stamp: Stamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Folder,
    File,
    Elf(elf::Facts),
    Link(String),
}

/// What the packer's output depends on beside a layer's inputs.
#[derive(Serialize)]
struct KeyOf<'a, T> {
    packer: u32,
    zstd: u32,
    level: i32,
    layer: &'a str,
    inputs: &'a T,
}

/// Names a layer by its inputs: the same key, the same bytes.
pub fn key(layer: &str, inputs: &impl Serialize) -> Digest {
    let zstd = zstd::zstd_safe::version_number();
    let key = KeyOf { packer: PACKER_REVISION, zstd, level: LEVEL, layer, inputs };
    canonical::digest("ybox.layer.v1", &key)
}

impl Store {
    /// The layer of that key, if it is in the store and its blob is untouched.
    pub(super) fn packed(&self, key: &Digest) -> Option<PackedLayer> {
        let record = fs::read(self.layer_record(key)).ok()?;
        let layer: PackedLayer = serde_json::from_slice(&record).ok()?;
        let blob = self.blobs.path(&layer.digest);
        let stamp = Stamp::of(&fs::metadata(&blob).ok()?);
        if stamp == layer.stamp {
            return Some(layer);
        }
        let unchanged = Digest::of_file(&blob).ok()? == (layer.digest, layer.size);
        unchanged.then_some(layer)
    }

    /// Writes a layer under its key. `advanced` is told the bytes of tar as they are written.
    pub(super) fn pack(
        &self,
        name: &str,
        key: &Digest,
        (tree, licences): (&Tree, Licences),
        advanced: &dyn Fn(u64),
    ) -> Result<PackedLayer, ImageError> {
        let place = self.layout.display();
        let unpacked = tree.tar_size();
        let failed = || {
            ImageError::io(format!(
                "write the layer {name} ({unpacked} bytes uncompressed) to {place}"
            ))
        };
        let contents = contents_of(tree).map_err(failed())?;
        let blob = self.blobs.temporary().map_err(failed())?;
        let (diff_id, (digest, size)) =
            compress(tree, blob.as_file(), advanced).map_err(failed())?;
        self.blobs.adopt(blob, &digest).map_err(failed())?;
        let stamp = Stamp::of(&fs::metadata(self.blobs.path(&digest)).map_err(failed())?);
        let name = name.into();
        let layer =
            PackedLayer { name, diff_id, unpacked, digest, size, contents, licences, stamp };
        let record = self.layer_record(key);
        fs::create_dir_all(self.layout.join("layers"))
            .and_then(|()| files::write_atomic(&record, &canonical::to_bytes(&layer)))
            .map_err(failed())?;
        Ok(layer)
    }

    fn layer_record(&self, key: &Digest) -> std::path::PathBuf {
        self.layout.join("layers").join(format!("{}.json", key.hex()))
    }
}

/// Writes the tree's tar to `out` as one zstd frame; the digest of the tar, and digest and size of
/// the frame.
fn compress(
    tree: &Tree,
    out: impl Write,
    advanced: &dyn Fn(u64),
) -> std::io::Result<(Digest, (Digest, u64))> {
    let blob = HashingWriter::new(BufWriter::new(out));
    let mut encoder = zstd::Encoder::new(blob, LEVEL)?;
    encoder.multithread(workers())?;
    encoder.set_pledged_src_size(Some(tree.tar_size()))?;
    let mut tar = HashingWriter::new(Counting { inner: encoder, advanced });
    tree.write(&mut tar)?;
    let (counting, diff_id, _) = tar.finish();
    let (mut buffered, digest, size) = counting.inner.finish()?.finish();
    buffered.flush()?;
    Ok((diff_id, (digest, size)))
}

fn workers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.min(MOST_WORKERS)).unwrap_or(1)
}

fn contents_of(tree: &Tree) -> std::io::Result<BTreeMap<String, Kind>> {
    let kind = |node: &Node| -> std::io::Result<Kind> {
        Ok(match node {
            Node::Folder { .. } => Kind::Folder,
            Node::Link { target } => Kind::Link(target.clone()),
            Node::File { content, .. } => elf::facts(content)?.map_or(Kind::File, Kind::Elf),
        })
    };
    tree.nodes().map(|(path, node)| Ok((path.to_owned(), kind(node)?))).collect()
}

struct Counting<'a, W> {
    inner: W,
    advanced: &'a dyn Fn(u64),
}

impl<W: Write> Write for Counting<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        (self.advanced)(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::*;

    #[test]
    fn the_library_is_the_version_that_the_golden_digests_were_made_with() {
        assert_eq!(zstd::zstd_safe::version_number(), 10_507);
    }

    #[test]
    fn compression_does_not_depend_on_the_number_of_workers() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"abcdefgh"[(state >> 29) as usize]
        };
        let text: Vec<u8> = (0..20 << 20).map(|_| next()).collect();
        let compressed = |workers| {
            let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).unwrap();
            encoder.multithread(workers).unwrap();
            encoder.set_pledged_src_size(Some(text.len() as u64)).unwrap();
            encoder.write_all(&text).unwrap();
            Digest::of(&encoder.finish().unwrap())
        };
        let one = compressed(1);
        assert_eq!(one, compressed(2));
        assert_eq!(one, compressed(7));
    }

    #[test]
    fn a_layer_is_found_again_until_its_blob_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::under(dir.path()).unwrap();
        let mut tree = Tree::new();
        let content = Content::bytes("content");
        tree.insert("a", Node::File { executable: false, content }, "t").unwrap();
        let key = key("test", &"inputs");
        assert_eq!(store.packed(&key), None);
        let layer = store.pack("test", &key, (&tree, Licences::new()), &|_| {}).unwrap();
        assert_eq!(store.packed(&key).as_ref(), Some(&layer));
        let blob = store.blobs.path(&layer.digest);
        let mut bytes = fs::read(&blob).unwrap();
        fs::write(&blob, &bytes).unwrap();
        assert_eq!(store.packed(&key).as_ref(), Some(&layer));
        bytes[20] ^= 1;
        fs::write(&blob, &bytes).unwrap();
        assert_eq!(store.packed(&key), None);
    }
}
