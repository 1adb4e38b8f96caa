//! The data manifest of a run: which files of a data set it will read, and their digests.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::dataset::{DataSet, DataSetError, Format};
use ybox_spec::manifest::{Entry, Manifest, ManifestError};

use super::digests::{Hashed, hash_all};
use super::memory::FileDigests;
use crate::ui::Explain;

/// A file that a run will read, relative to the data set's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `train`, `val`, `test` or `source`.
    pub split: String,
    pub path: PathBuf,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Picture,
    /// A picture without one has no objects.
    Label,
    /// A COCO or Pascal VOC annotation, which must be there.
    Annotation,
}

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("the `{split}` split lists {}, which does not exist", path.display())]
    Missing { split: String, path: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} links to {}, outside the data set's folder", path.display(), target.display())]
    LinkOutside { path: PathBuf, target: PathBuf },
    #[error("the file name {path:?} is not UTF-8")]
    Name { path: PathBuf },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Explain for SurveyError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } => "restore the file, or take the picture out of the list",
            Self::Read { .. } => return None,
            Self::LinkOutside { .. } => {
                "only the data set's folder is mounted in the container: move the files there, or set `path:` to a folder above both"
            }
            Self::Name { .. } | Self::Manifest(_) => "rename the file",
        };
        Some(hint.into())
    }

    fn exit(&self) -> u8 {
        1
    }
}

/// The pictures of `split`.
pub fn pictures(split: &str, paths: Vec<PathBuf>) -> Vec<Wanted> {
    let wanted = |path| Wanted { split: split.to_owned(), path, kind: Kind::Picture };
    paths.into_iter().map(wanted).collect()
}

/// The pictures of `split` of `set` and the files that say what is on them.
pub fn pictures_and_labels(
    set: &DataSet,
    split: &str,
    paths: Vec<PathBuf>,
) -> Result<Vec<Wanted>, DataSetError> {
    let kind = match set.format() {
        Format::Yolo => Kind::Label,
        Format::Coco | Format::Voc => Kind::Annotation,
    };
    let label = |path| Wanted { split: split.to_owned(), path, kind };
    let labels = set.label_files(split, &paths)?;
    let mut wanted = pictures(split, paths);
    wanted.extend(labels.into_iter().map(label));
    Ok(wanted)
}

/// Hashes all `wanted` files below `root`. `progress` is told how many are done.
pub fn survey(
    root: &Path,
    wanted: &[Wanted],
    known: &mut FileDigests,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Manifest, SurveyError> {
    let paths: Vec<_> = wanted.iter().map(|w| w.path.as_path()).collect();
    refuse_folders_outside(root, &paths)?;
    let mut entries = Vec::with_capacity(wanted.len());
    for (wanted, hashed) in wanted.iter().zip(hash_all(known, &paths, progress)) {
        match hashed {
            Ok(found) => {
                if found.is_link {
                    refuse_outside(root, &wanted.path)?;
                }
                entries.push(entry(wanted, found)?);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match wanted.kind {
                Kind::Label => {}
                Kind::Picture | Kind::Annotation => {
                    let path = root.join(&wanted.path);
                    return Err(SurveyError::Missing { split: wanted.split.clone(), path });
                }
            },
            Err(source) => {
                return Err(SurveyError::Read { path: root.join(&wanted.path), source });
            }
        }
    }
    Ok(Manifest::new(entries)?)
}

fn entry(wanted: &Wanted, found: Hashed) -> Result<Entry, SurveyError> {
    let path =
        wanted.path.to_str().ok_or_else(|| SurveyError::Name { path: wanted.path.clone() })?;
    let Hashed { sha256, size, .. } = found;
    Ok(Entry { split: wanted.split.clone(), path: path.to_owned(), size, sha256 })
}

/// In the container only `root` exists: a link that leads out of it would be found broken there.
fn refuse_folders_outside(root: &Path, paths: &[&Path]) -> Result<(), SurveyError> {
    let mut seen = HashSet::new();
    let folders = paths.iter().filter_map(|path| path.parent());
    folders
        .filter(|folder| seen.insert(folder.as_os_str()))
        .try_for_each(|folder| refuse_outside(root, folder))
}

fn refuse_outside(root: &Path, path: &Path) -> Result<(), SurveyError> {
    let path = root.join(path);
    match fs::canonicalize(&path) {
        Ok(target) if !target.starts_with(root) => Err(SurveyError::LinkOutside { path, target }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;

    fn set(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    fn try_survey(dir: &Path, pictures: &[&str]) -> Result<Manifest, SurveyError> {
        let root = fs::canonicalize(dir).unwrap();
        fs::write(root.join("data.yaml"), "names: [x]\n").unwrap();
        let set = DataSet::open(&root.join("data.yaml")).unwrap();
        let pictures = pictures.iter().map(PathBuf::from).collect();
        let wanted = pictures_and_labels(&set, "train", pictures).unwrap();
        let mut known = FileDigests::open(&root, &root);
        survey(&root, &wanted, &mut known, &|_| ())
    }

    #[test]
    fn takes_pictures_and_the_labels_there_are() {
        let dir = set(&["images/1.jpg", "labels/1.txt", "images/2.jpg"]);
        let manifest = try_survey(dir.path(), &["images/1.jpg", "images/2.jpg"]).unwrap();
        let paths: Vec<_> = manifest.entries().iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["images/1.jpg", "images/2.jpg", "labels/1.txt"]);
        assert_eq!(manifest.entries()[0].sha256, Digest::of(b"images/1.jpg"));
    }

    #[test]
    fn names_a_picture_that_is_missing() {
        let dir = set(&["images/1.jpg"]);
        let error = try_survey(dir.path(), &["images/1.jpg", "images/9.jpg"]).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("the `train` split lists "), "{message}");
        assert!(message.ends_with("images/9.jpg, which does not exist"), "{message}");
    }

    #[test]
    fn refuses_links_that_lead_out() {
        let elsewhere = set(&["1.jpg"]);
        let dir = set(&["images/1.jpg"]);
        let link =
            |to: &Path, at: &str| std::os::unix::fs::symlink(to, dir.path().join(at)).unwrap();
        link(&elsewhere.path().join("1.jpg"), "images/2.jpg");
        link(elsewhere.path(), "more");
        link(Path::new("1.jpg"), "images/3.jpg");
        for bad in ["images/2.jpg", "more/1.jpg"] {
            let error = try_survey(dir.path(), &[bad]).unwrap_err();
            assert!(matches!(error, SurveyError::LinkOutside { .. }), "{error}");
        }
        assert_eq!(try_survey(dir.path(), &["images/3.jpg"]).unwrap().entries().len(), 1);
    }
}
