//! Does a stored image still hold what its digests say? All that does not is listed.

use std::collections::BTreeSet;
use std::io::{self, Read};

use oci_spec::image::{ImageConfiguration, ImageManifest};
use serde::{Serialize, de::DeserializeOwned};
use ybox_spec::Digest;

use super::{ImageError, Store, StoredImage, StoredLayer, oci};

/// Something of a stored image that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: ProblemCode,
    /// The blob: its role and digest, e.g. `layer 2 of 4, sha256:...`.
    pub item: String,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    BlobMissing,
    BlobDamaged,
    BlobUnreadable,
    DocumentMalformed,
    /// Manifest and config, or the manifest and the store's index, don't fit together.
    Inconsistent,
}

impl Store {
    /// Re-hashes every blob of the image, compressed and uncompressed, and of what is attached to
    /// it, and compares manifest and config. Empty if all is well.
    pub fn check(&self, image: &StoredImage) -> Vec<Problem> {
        self.problems(image, Self::check_layer)
    }

    /// The same, but that of the layers only their sizes are looked at.
    pub fn check_sizes(&self, image: &StoredImage) -> Vec<Problem> {
        self.problems(image, Self::check_size)
    }

    fn problems(
        &self,
        image: &StoredImage,
        check_layer: impl Fn(&Self, &StoredLayer, String) -> Option<Problem>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let manifest: Option<ImageManifest> =
            self.check_document(&image.manifest, "manifest", &mut problems);
        let config: Option<ImageConfiguration> =
            self.check_document(&image.config, "config", &mut problems);
        let (Some(manifest), Some(config)) = (manifest, config) else { return problems };
        problems.extend(consistency(image, &manifest, &config));
        if let (true, Ok(layers)) = (problems.is_empty(), self.layers(image)) {
            for (number, layer) in layers.iter().enumerate() {
                let item = format!("layer {} of {}, {}", number + 1, layers.len(), layer.digest);
                problems.extend(check_layer(self, layer, item));
            }
        }
        self.check_attached(image, &mut problems);
        problems
    }

    fn check_attached(&self, image: &StoredImage, problems: &mut Vec<Problem>) {
        let attached = self
            .attached(image)
            .and_then(|listed| listed.iter().map(oci::digest_of).collect::<Result<Vec<_>, _>>());
        let attached = attached.unwrap_or_else(|error| {
            problems.push(problem("list of what is attached".into(), error));
            Vec::new()
        });
        // Several may have the same empty config.
        let mut blobs = BTreeSet::new();
        for digest in attached {
            let manifest = self.check_document(&digest, "attached manifest", problems);
            let Some(manifest): Option<ImageManifest> = manifest else { continue };
            blobs.extend(oci::blobs(&manifest).filter_map(|blob| oci::digest_of(blob).ok()));
        }
        for digest in blobs {
            let unreadable = self.blobs.read(&digest).err();
            problems.extend(unreadable.map(|e| problem(format!("attached document, {digest}"), e)));
        }
    }

    fn check_layer(&self, layer: &StoredLayer, item: String) -> Option<Problem> {
        // The blob first: a flipped byte in it should not look like a decompressor's trouble.
        let drained = |reader: &mut dyn Read| {
            io::copy(reader, &mut io::sink()).map_err(ImageError::io("read it"))
        };
        let blob = self.blobs.reader(&layer.digest).and_then(|mut r| drained(&mut r));
        let tar = || self.layer_reader(layer).and_then(|mut r| drained(&mut r));
        match blob {
            Err(error) => Some(problem(item, error)),
            Ok(size) if size != layer.size => Some(wrong_size(item, size, layer)),
            Ok(_) => tar().err().map(|error| problem(item, error)),
        }
    }

    fn check_size(&self, layer: &StoredLayer, item: String) -> Option<Problem> {
        match self.blobs.size(&layer.digest) {
            Err(error) => Some(problem(item, error)),
            Ok(size) => (size != layer.size).then(|| wrong_size(item, size, layer)),
        }
    }

    fn check_document<T: DeserializeOwned>(
        &self,
        digest: &Digest,
        role: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let parsed = self.blobs.read(digest).and_then(|bytes| {
            serde_json::from_slice(&bytes).map_err(|e| ImageError::malformed(role, e))
        });
        parsed.map_err(|error| problems.push(problem(format!("{role}, {digest}"), error))).ok()
    }
}

fn consistency(
    image: &StoredImage,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
) -> Option<Problem> {
    let (layers, diff_ids) = (manifest.layers().len(), config.rootfs().diff_ids().len());
    let detail = match oci::digest_of(manifest.config()) {
        Ok(named) if named != image.config => format!("it names the config {named}"),
        Err(error) => error.to_string(),
        Ok(_) if layers != diff_ids => {
            format!("it has {layers} layers, the config lists {diff_ids}")
        }
        Ok(_) => return None,
    };
    let item = format!("manifest, {}", image.manifest);
    Some(Problem { code: ProblemCode::Inconsistent, item, detail })
}

fn wrong_size(item: String, size: u64, layer: &StoredLayer) -> Problem {
    let detail = format!("it has {size} bytes, the manifest says {}", layer.size);
    Problem { code: ProblemCode::Inconsistent, item, detail }
}

fn problem(item: String, error: ImageError) -> Problem {
    let (code, detail) = match &error {
        ImageError::MissingBlob(_) => (ProblemCode::BlobMissing, "it is not in the store".into()),
        ImageError::Damaged(_, damage) => (ProblemCode::BlobDamaged, damage.to_string()),
        ImageError::Malformed { why, .. } => (ProblemCode::DocumentMalformed, why.clone()),
        ImageError::Io { source, .. } => (ProblemCode::BlobUnreadable, source.to_string()),
        other => (ProblemCode::BlobUnreadable, other.to_string()),
    };
    Problem { code, item, detail }
}
