//! What a run was made from, where it is still here: data set and initial weights.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::dataset::DataSet;
use ybox_spec::manifest::{Entry, Manifest};
use ybox_spec::record::Record;

use super::Subject;
use super::report::{Check, Gap, Mismatch};
use crate::record::digests::{Hashed, hash_all};
use crate::record::folder::is_inside;
use crate::record::memory::FileDigests;

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
    let paths: Vec<_> = inside.iter().map(|entry| Path::new(&entry.path)).collect();
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

fn difference(entry: &Entry, found: io::Result<Hashed>) -> Option<Mismatch> {
    match found {
        Ok(Hashed { sha256, .. }) if sha256 == entry.sha256 => None,
        Ok(Hashed { sha256: found, .. }) => {
            Some(Mismatch::Digest { expected: entry.sha256, found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Mismatch::Missing),
        Err(error) => Some(Mismatch::Unreadable(error.to_string())),
    }
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
