//! What a run was made from, where it is still here: data set, image, initial weights.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::dataset::DataSet;
use ybox_spec::manifest::{Entry, Manifest};
use ybox_spec::record::Record;

use super::Subject;
use super::report::{Check, Gap, Mismatch};
use crate::image::{Problem, ProblemCode, Store, StoredImage};
use crate::record::digests::{FileDigests, hash_all};
use crate::record::folder::is_inside;

/// Checks every file that the manifest lists; one check for all when they match, else one for each
/// that does not.
pub fn data(
    subject: &Subject,
    record: &Record,
    manifest: Option<Manifest>,
    home: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Check> {
    let Some(manifest) = manifest else { return vec![Check::skipped("data", Gap::NoManifest)] };
    let root = match data_root(subject, record) {
        Ok(root) => root,
        Err(check) => return vec![check],
    };
    let bad = differing_files(&root, &manifest, subject.deep, home, progress);
    if !bad.is_empty() {
        return bad;
    }
    let count = manifest.entries().len();
    let how = if subject.deep { "all hashed anew" } else { "unchanged" };
    vec![Check::ok("data", format!("{count} files, {how}, in {}", root.display()))]
}

fn data_root(subject: &Subject, record: &Record) -> Result<PathBuf, Check> {
    let place = match &subject.data {
        Some(given) => given.clone(),
        None => PathBuf::from(&record.circumstances.data.root),
    };
    let gap = || Check::skipped("data", Gap::DataNotHere(place.display().to_string()));
    if place.is_file() {
        return match DataSet::open(&place) {
            Ok(set) => Ok(set.root().to_owned()),
            Err(error) => Err(Check::bad("data", Mismatch::Unreadable(error.to_string()))),
        };
    }
    fs::canonicalize(&place).map_err(|_| gap())
}

fn differing_files(
    root: &Path,
    manifest: &Manifest,
    deep: bool,
    home: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Check> {
    let mut known = if deep { FileDigests::empty(root) } else { FileDigests::open(home, root) };
    let (inside, outside): (Vec<_>, Vec<_>) =
        manifest.entries().iter().partition(|entry| is_inside(&entry.path));
    let paths: Vec<_> = inside.iter().map(|entry| PathBuf::from(&entry.path)).collect();
    let found = hash_all(&mut known, &paths, &|done| progress(done, paths.len()));
    // Only a memory for speed: without it the next verification hashes again.
    let _ = known.save(home);
    let leaving = outside
        .into_iter()
        .map(|entry| (entry, Mismatch::Unreadable("its path leaves the data set".into())));
    inside
        .into_iter()
        .zip(found)
        .filter_map(|(entry, found)| Some((entry, difference(entry, found)?)))
        .chain(leaving)
        .map(|(entry, mismatch)| Check::bad(format!("data {}", entry.path), mismatch))
        .collect()
}

fn difference(entry: &Entry, found: io::Result<(Digest, u64)>) -> Option<Mismatch> {
    match found {
        Ok((found, _)) if found == entry.sha256 => None,
        Ok((found, _)) => Some(Mismatch::Digest { expected: entry.sha256, found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Mismatch::Missing),
        Err(error) => Some(Mismatch::Unreadable(error.to_string())),
    }
}

/// Checks the stored image, blob by blob.
pub fn image(record: &Record, images: &Store) -> Vec<Check> {
    let source = &record.circumstances.image;
    let image = StoredImage {
        reference: source.reference.clone(),
        manifest: source.manifest,
        config: record.inputs.image,
    };
    let problems = images.check(&image);
    if problems.first().is_some_and(|p| is_absence(p, &image)) {
        return vec![Check::skipped("image", Gap::ImageNotHere(image.manifest))];
    }
    if problems.is_empty() {
        return vec![Check::ok("image", image.config)];
    }
    problems
        .into_iter()
        .map(|p| Check::bad(format!("image {}", p.item), Mismatch::Unreadable(p.detail)))
        .collect()
}

/// Without its manifest an image is not there; without another blob it is damaged.
fn is_absence(problem: &Problem, image: &StoredImage) -> bool {
    problem.code == ProblemCode::BlobMissing && problem.item.contains(&image.manifest.hex())
}

/// Checks the initial weights where they were taken from.
pub fn weights(record: &Record) -> Option<Check> {
    let expected = record.inputs.weights?;
    let path = record.circumstances.weights.as_deref().unwrap_or_default();
    let item = "initial weights";
    Some(match Digest::of_file(Path::new(path)) {
        Ok((found, _)) => Check::digests(item, expected, found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::skipped(item, Gap::WeightsNotHere(path.into()))
        }
        Err(error) => Check::bad(item, Mismatch::Unreadable(error.to_string())),
    })
}
