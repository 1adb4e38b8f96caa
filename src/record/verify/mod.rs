//! Recomputing every hash of a run and comparing it with its record. A record vouches for itself
//! only against accidents: who wants to know that it is *the* run compares its run hash with one
//! from elsewhere, or goes by who signed it.

mod folder;
mod image;
mod outside;
mod record;
mod report;
mod signatures;

use std::path::{Path, PathBuf};

use ybox_spec::Digest;

pub use report::{Check, Gap, Mismatch, Outcome, Report};

use crate::image::Store;
use crate::trust::Policy;

/// Which run to verify, and how thoroughly.
#[derive(Debug, Clone)]
pub struct Subject {
    pub folder: PathBuf,
    /// The run hash that it must have.
    pub expected: Option<Digest>,
    /// Where the data set lies now, if not where the record says: its folder or its YAML file.
    pub data: Option<PathBuf>,
    /// Rehash data files and image blobs that are remembered as unchanged, too.
    pub deep: bool,
    /// Whose signatures of the run count.
    pub policy: Option<Policy>,
}

/// Makes every check that can be made here. `home` is where digests of data files and blobs are remembered;
/// `progress` is told how many of the data files are done, of how many.
pub fn verify(
    subject: &Subject,
    images: &Store,
    home: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Report {
    let folder = &subject.folder;
    let (mut checks, record) = record::read(folder);
    let Some(record) = record else { return Report { checks } };
    checks.extend(record::hashes(&record));
    checks.extend(subject.expected.map(|hash| record::given_hash(&record, hash)));
    let (files, manifest) = folder::files(folder, &record);
    checks.extend(files);
    checks.extend(outside::data(subject, &record, manifest, home, progress));
    checks.extend(image::image(&record, images, subject.deep, home));
    checks.extend(outside::weights(&record));
    checks.extend(signatures::signatures(folder, subject.policy.as_ref()));
    Report { checks }
}
