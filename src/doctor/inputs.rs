//! What images and runs are made from: locks, places to download from, and a data set.

use std::fs::File;
use std::path::Path;

use ybox_spec::dataset::{DataSet, DataSetError};

use super::{Check, let_read};
use crate::fetch::{SourceError, Sources};
use crate::image::PACKER_REVISION;
use crate::lock::{LockError, Variants};
use crate::settings::Downloads;
use crate::ui::{Explain, one_line};

/// The project's kept locks are of its recipes and of this ybox.
pub fn locks(project: Option<&Path>) -> Check {
    const NAME: &str = "locks";
    let Ok(variants) = Variants::of(project) else {
        return Check::skipped(NAME, "no project here");
    };
    let mut fitting = Vec::new();
    for variant in variants.names() {
        match variants.fitting(&variant, PACKER_REVISION, |_| true) {
            Ok(_) => fitting.push(variant),
            // A lock that its user has yet to make.
            Err(LockError::NotLocked { .. }) => {}
            Err(error) => return unfit(NAME, &variant, &error),
        }
    }
    match fitting.is_empty() {
        true => Check::skipped(NAME, "none are kept"),
        false => Check::well(NAME, format!("up to date: {}", fitting.join(", "))),
    }
}

/// The lock of `variant`, or its recipe, can't be used.
fn unfit(name: &'static str, variant: &str, error: &LockError) -> Check {
    let (found, wrong, mend) = match error {
        LockError::Stale { reasons, .. } => {
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            let mend = format!("`ybox lock {variant}`, and look at what it changes");
            ("is out of date", reasons.join("; "), mend)
        }
        LockError::Io { path, source } => {
            ("can't be read", one_line(error), let_read(path, source))
        }
        LockError::Content { path, .. } | LockError::Schema { path, .. } => {
            let mend = format!(
                "correct {0}, or take it back from Git: `git checkout {0}`",
                path.display()
            );
            ("can't be read", one_line(error), mend)
        }
        other => ("can't be used", one_line(other), "`ybox build` says more".to_owned()),
    };
    Check::ill(name, format!("that of {variant} {found}"), wrong, mend)
}

/// Where packages come from is known; nothing is downloaded.
pub fn indexes(downloads: &Downloads) -> Check {
    const NAME: &str = "indexes";
    if downloads.offline {
        return Check::skipped(NAME, "nothing is downloaded (--offline)");
    }
    let sources = Sources::new(downloads);
    let found = sources.python_index().and_then(|_| sources.deb("debian"));
    match found {
        Ok(_) => Check::well(NAME, "a Python index and a Debian mirror are set"),
        Err(error) => not_set(NAME, &error),
    }
}

fn not_set(name: &'static str, error: &SourceError) -> Check {
    let mend = error.hint().unwrap_or_default();
    Check::ill(name, "not all are set", error.to_string(), mend)
}

/// Every picture of the data set can be opened.
pub fn data(yaml: Option<&Path>) -> Check {
    const NAME: &str = "data";
    let Some(yaml) = yaml else { return Check::skipped(NAME, "not asked for: --data FILE") };
    let found = yaml.display().to_string();
    let pictures = match pictures(yaml) {
        Ok(pictures) => pictures,
        Err(error) => {
            let mend = mend_data(&error);
            return Check::ill(NAME, found, error.to_string(), mend);
        }
    };
    let closed = pictures.iter().find_map(|path| Some((path, File::open(path).err()?)));
    match closed {
        Some((path, error)) => {
            let wrong = format!("{} can't be read: {error}", path.display());
            Check::ill(NAME, found, wrong, let_read(path, &error))
        }
        None => Check::well(NAME, format!("{} pictures of {found} can be read", pictures.len())),
    }
}

fn mend_data(error: &DataSetError) -> String {
    match error {
        DataSetError::Read { path, source } => let_read(path, source),
        other => other.hint().unwrap_or_else(|| "`ybox data check` says more".into()),
    }
}

fn pictures(yaml: &Path) -> Result<Vec<std::path::PathBuf>, DataSetError> {
    let set = DataSet::open(yaml)?;
    let mut all = set.images("train")?;
    all.extend(set.images("val")?);
    Ok(all.into_iter().map(|path| set.root().join(path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_well_if_all_its_pictures_open() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = folder.path().join("data.yaml");
        assert!(!data(None).is_ill());
        assert!(data(Some(&yaml)).is_ill());
        std::fs::write(&yaml, "train: a\nval: a\nnames: [x]\n").unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(data(Some(&yaml)).is_ill(), "it is empty");
        std::fs::write(folder.path().join("a/1.jpg"), "").unwrap();
        assert!(!data(Some(&yaml)).is_ill());
        std::fs::write(folder.path().join("list.txt"), "a/1.jpg\na/2.jpg\n").unwrap();
        std::fs::write(&yaml, "train: list.txt\nval: a\nnames: [x]\n").unwrap();
        assert!(data(Some(&yaml)).is_ill());
    }
}
