//! What stands in a data set: the pictures of a split with their labels, and what is wrong with
//! them. The rules of labels are those of `ybox-labels`, which the trainer has too; what becomes of
//! a finding is the caller's.

mod finding;
mod picture;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ybox_labels::{ExactLabels, PixelLabels, Problem, Unscaled, coco, voc, yolo};
use ybox_spec::Digest;
use ybox_spec::dataset::{DataSet, DataSetError, Format, IMAGE_EXTENSIONS};

use crate::parallel::in_parallel;
use crate::ui::Explain;

pub use finding::Finding;
pub use picture::Depth;

impl Explain for DataSetError {
    fn hint(&self) -> Option<String> {
        let endings = || format!("pictures end in {}", IMAGE_EXTENSIONS.join(", "));
        matches!(self, Self::Empty { .. }).then(endings)
    }

    fn exit(&self) -> u8 {
        1
    }
}

/// A picture and what it and its labels turned out to be.
#[derive(Debug)]
pub struct Content {
    /// Relative to the set's root.
    pub path: PathBuf,
    /// Where it was read whole.
    pub sha256: Option<Digest>,
    /// Width and height as shown; none where it cannot be decoded.
    pub size: Option<(u32, u32)>,
    pub labels: ExactLabels,
    pub findings: Vec<Finding>,
}

/// The pictures of `split`, and what is wrong with labels of none. `done` hears how many of how
/// many are read.
pub fn read(
    set: &DataSet,
    split: &'static str,
    depth: Depth,
    done: &(dyn Fn(u64, u64) + Sync),
) -> Result<(Vec<Content>, Vec<Finding>), DataSetError> {
    let pictures = set.images(split)?;
    let files = set.label_files(split, &pictures)?;
    let (listed, problems) = match set.format() {
        Format::Coco => listed(set, &files[0], &pictures)?,
        Format::Yolo | Format::Voc => (vec![None; pictures.len()], Vec::new()),
    };
    let (total, count) = (pictures.len() as u64, AtomicU64::new(0));
    let items = pictures.into_iter().zip(listed).enumerate().collect();
    let contents = in_parallel(items, |(i, (picture, listed))| {
        let labels = match listed {
            Some(labels) => Ok(Some(Unscaled::Pixels(labels))),
            None => read_labels(set, files.get(i)),
        };
        let content = content(set.root(), split, picture, files.get(i), labels, depth);
        done(count.fetch_add(1, Ordering::Relaxed) + 1, total);
        content
    });
    Ok((contents, problems.into_iter().map(|p| Finding::of_label(split, p)).collect()))
}

/// Labels from a COCO file, for each picture.
type Listed = (Vec<Option<PixelLabels>>, Vec<Problem>);

fn listed(set: &DataSet, file: &Path, pictures: &[PathBuf]) -> Result<Listed, DataSetError> {
    let path = set.root().join(file);
    let bytes =
        fs::read(&path).map_err(|source| DataSetError::Read { path: path.clone(), source })?;
    let refuse = |error: ybox_labels::AnnotationError| DataSetError::Annotations {
        path: path.clone(),
        reason: error.reason,
    };
    let mut read = coco::parse(&file.to_string_lossy(), &bytes).map_err(refuse)?;
    let problems = std::mem::take(&mut read.problems);
    let paths: Vec<_> = pictures.iter().map(|p| p.to_string_lossy()).collect();
    let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
    Ok((read.of_pictures(&paths).map_err(refuse)?, problems))
}

/// The labels in a file of one picture; none where there is no such file.
fn read_labels(set: &DataSet, file: Option<&PathBuf>) -> io::Result<Option<Unscaled>> {
    let Some(file) = file else { return Ok(None) };
    let bytes = match fs::read(set.root().join(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let name = file.to_string_lossy();
    Ok(Some(match set.format() {
        Format::Voc => voc::parse(&name, &bytes, Some(set.names())),
        _ => Unscaled::Shares(yolo::parse(&name, &bytes, set.names().len() as u32)),
    }))
}

fn content(
    root: &Path,
    split: &'static str,
    path: PathBuf,
    label: Option<&PathBuf>,
    labels: io::Result<Option<Unscaled>>,
    depth: Depth,
) -> Content {
    let mut findings = Vec::new();
    let mut report = |code, path: &Path, message| {
        findings.push(Finding::of_file(code, split, path, message));
    };
    let (sha256, size) = match picture::look(&root.join(&path), depth) {
        Ok(seen) => (seen.sha256, seen.size.map(Some)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report("picture-missing", &path, "it is listed, but not there".into());
            (None, Ok(None))
        }
        Err(error) => (None, Err(error.to_string())),
    };
    let size = size.unwrap_or_else(|reason| {
        let message = format!("the picture cannot be decoded: {reason}");
        report("picture-unreadable", &path, message);
        None
    });
    let is_voc = label.is_some_and(|l| l.extension().is_some_and(|e| e == "xml"));
    let unscaled = match (labels, label) {
        (Ok(Some(labels)), _) => labels,
        (Ok(None), Some(file)) if is_voc => {
            report("annotation-missing", file, format!("{} has no annotation", path.display()));
            Unscaled::Shares(ExactLabels::default())
        }
        (Ok(None), _) => Unscaled::background(),
        (Err(error), file) => {
            let file = file.map_or(&*path, PathBuf::as_path);
            report("label-unreadable", file, format!("it cannot be read: {error}"));
            Unscaled::Shares(ExactLabels::default())
        }
    };
    let mut labels = match size {
        Some((width, height)) => unscaled.scale(width, height),
        None => ExactLabels { problems: unscaled.into_problems(), ..ExactLabels::default() },
    };
    findings.extend(labels.problems.drain(..).map(|problem| Finding::of_label(split, problem)));
    Content { path, sha256, size, labels, findings }
}
