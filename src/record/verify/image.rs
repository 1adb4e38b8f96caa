//! The image that a run was made with, where the store still has it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ybox_spec::Digest;
use ybox_spec::record::Record;

use super::report::{Check, Gap, Mismatch};
use crate::image::{Problem, ProblemCode, Store, StoredImage};
use crate::record::memory::{FileDigests, Stamp};

/// Checks the stored image, blob by blob. One that passed before, and whose blobs have not been
/// touched since, is read again only where the check is `deep`.
pub fn image(record: &Record, images: &Store, deep: bool, home: &Path) -> Vec<Check> {
    let image = stored(record, images);
    let mut known = FileDigests::open(home, images.folder());
    // Before the check: what is changed during it must not count as checked.
    let blobs = look(images, &image).unwrap_or_default();
    let untouched = |(path, digest, stamp): &Blob| known.get(path, *stamp) == Some(*digest);
    if !deep && !blobs.is_empty() && blobs.iter().all(untouched) {
        return vec![Check::ok("image", image.config)];
    }
    let problems = images.check(&image);
    if problems.first().is_some_and(|p| is_absence(p, &image)) {
        return vec![Check::skipped("image", Gap::ImageNotHere(image.manifest))];
    }
    if problems.is_empty() {
        remember(&mut known, &blobs, home);
        return vec![Check::ok("image", image.config)];
    }
    problems
        .into_iter()
        .map(|p| Check::bad(format!("image {}", p.item), Mismatch::Unreadable(p.detail)))
        .collect()
}

/// The image as it was run, or, where the store lists it only with its layers compressed in another
/// way, as that.
fn stored(record: &Record, images: &Store) -> StoredImage {
    let source = &record.circumstances.image;
    let config = record.inputs.image;
    let listed = images.images().unwrap_or_default();
    let mut others = listed.iter().filter(|image| image.config == config);
    match others.next() {
        Some(other) if listed.iter().all(|image| image.manifest != source.manifest) => {
            other.clone()
        }
        _ => StoredImage { reference: source.reference.clone(), manifest: source.manifest, config },
    }
}

/// A blob's path in the store's folder, its name, and how the file looks.
type Blob = (PathBuf, Digest, Stamp);

/// All blobs of `image` and of what is attached to it; `None` if one is not there.
fn look(images: &Store, image: &StoredImage) -> Option<Vec<Blob>> {
    let blobs = images.files_of(image).ok()?.into_iter().map(|(path, digest)| {
        let meta = std::fs::metadata(images.folder().join(&path)).ok()?;
        Some((path, digest, Stamp::of(&meta)))
    });
    blobs.collect()
}

fn remember(known: &mut FileDigests, blobs: &[Blob], home: &Path) {
    let now = SystemTime::now();
    blobs.iter().for_each(|(path, digest, stamp)| known.add(path, *stamp, *digest, now));
    // Only a memory for speed: without it the next verification reads the blobs again.
    let _ = known.save(home);
}

/// Without its manifest an image is not there; without another blob it is damaged.
fn is_absence(problem: &Problem, image: &StoredImage) -> bool {
    problem.code == ProblemCode::BlobMissing && problem.item.contains(&image.manifest.hex())
}
