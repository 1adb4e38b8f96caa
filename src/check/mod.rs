//! `ybox data check`: everything that is wrong with a data set, found without a run. The rules of
//! labels are those of `ybox-labels`, which the trainer has too.

mod picture;
mod report;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ybox_labels::{Labels, PixelLabels, Problem, Unscaled, coco, voc, yolo};
use ybox_spec::Digest;
use ybox_spec::dataset::{DataSet, DataSetError, Format};

pub use report::{Finding, Report, SplitReport};

/// A picture and what it and its labels turned out to be.
struct Checked {
    path: PathBuf,
    sha256: Option<Digest>,
    labels: Labels,
    findings: Vec<Finding>,
}

/// Checks all splits of `set`, which was opened from `yaml`.
pub fn check(yaml: &Path, set: &DataSet) -> Report {
    let mut report = Report {
        data: yaml.to_owned(),
        format: set.format(),
        names: set.names().to_vec(),
        splits: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let mut seen = HashMap::new();
    for split in set.splits() {
        check_split(set, split, &mut seen, &mut report);
    }
    if report.splits.is_empty() {
        let message = "it has none of the splits `train`, `val` and `test`".to_owned();
        report.problems.push(whole("split-missing", None, message));
    }
    without_objects(&mut report);
    report
}

/// Pictures by content: where one was first seen.
type Seen = HashMap<Digest, (&'static str, PathBuf)>;

fn check_split(set: &DataSet, split: &'static str, seen: &mut Seen, report: &mut Report) {
    let before = report.problems.len();
    let checked = match read_split(set, split) {
        Ok((checked, findings)) => {
            report.problems.extend(findings);
            checked
        }
        Err(error) => {
            report.problems.extend(unusable(split, &error));
            Vec::new()
        }
    };
    let mut counts = vec![0; report.names.len()];
    for object in checked.iter().flat_map(|c| &c.labels.objects) {
        counts[object.class as usize] += 1;
    }
    let empty = |c: &&Checked| c.labels.usable && c.labels.objects.is_empty();
    let backgrounds = checked.iter().filter(empty).count();
    let ignored: u64 = checked.iter().map(|c| c.labels.ignored).sum();
    if ignored > 0 {
        let message = format!("objects marked `iscrowd` or `difficult`, not used: {ignored}");
        report.notes.push(whole("ignored", Some(split), message));
    }
    let pictures = checked.len();
    for picture in checked {
        report.problems.extend(repeated(split, &picture, seen));
        report.problems.extend(picture.findings);
    }
    report.splits.push(SplitReport {
        split,
        pictures,
        objects: counts.iter().sum(),
        backgrounds,
        problems: report.problems.len() - before,
        objects_by_class: counts,
    });
}

fn unusable(split: &'static str, error: &DataSetError) -> Vec<Finding> {
    if let DataSetError::NotThere { annotations, missing, .. } = error {
        let finding = |name: &String| Finding {
            code: "picture-missing",
            split: Some(split),
            file: Some(name.clone()),
            line: None,
            message: format!("{} lists it, but it is not there", annotations.display()),
        };
        return missing.iter().map(finding).collect();
    }
    let code = match error {
        DataSetError::Empty { .. } => "split-empty",
        _ => "split-unreadable",
    };
    vec![whole(code, Some(split), error.to_string())]
}

/// The same picture a second time, in this split or another.
fn repeated(split: &'static str, picture: &Checked, seen: &mut Seen) -> Option<Finding> {
    let sha256 = picture.sha256?;
    let Some((theirs, path)) = seen.get(&sha256) else {
        seen.insert(sha256, (split, picture.path.clone()));
        return None;
    };
    let code = if *theirs == split { "picture-twice" } else { "picture-in-two-splits" };
    let message = format!("it is the same picture as {} of `{theirs}`", path.display());
    Some(of_file(code, split, &picture.path, message))
}

fn without_objects(report: &mut Report) {
    let Some(train) = report.splits.iter_mut().find(|s| s.split == "train") else { return };
    let named = report.names.iter().zip(&train.objects_by_class);
    for (name, _) in named.filter(|(_, count)| **count == 0) {
        let message = format!("there is no object of class {name}");
        report.problems.push(whole("class-without-objects", Some("train"), message));
        train.problems += 1;
    }
}

fn whole(code: &'static str, split: Option<&'static str>, message: String) -> Finding {
    Finding { code, split, file: None, line: None, message }
}

fn of_file(code: &'static str, split: &'static str, path: &Path, message: String) -> Finding {
    let file = Some(path.display().to_string());
    Finding { code, split: Some(split), file, line: None, message }
}

fn of_label(split: &'static str, problem: Problem) -> Finding {
    let Problem { code, file, line, message } = problem;
    Finding { code: code.name(), split: Some(split), file: Some(file), line, message }
}

/// The pictures of a split, and what is wrong with labels of none.
fn read_split(
    set: &DataSet,
    split: &'static str,
) -> Result<(Vec<Checked>, Vec<Finding>), DataSetError> {
    let pictures = set.images(split)?;
    let files = set.label_files(split, &pictures)?;
    let (listed, problems) = match set.format() {
        Format::Coco => listed(set, &files[0], &pictures)?,
        Format::Yolo | Format::Voc => (vec![None; pictures.len()], Vec::new()),
    };
    let checked = in_parallel(pictures.len(), |i| {
        let labels = match &listed[i] {
            Some(labels) => Ok(Some(Unscaled::Pixels(labels.clone()))),
            None => read_labels(set, files.get(i)),
        };
        check_picture(set.root(), split, &pictures[i], files.get(i), labels)
    });
    Ok((checked, problems.into_iter().map(|p| of_label(split, p)).collect()))
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

fn check_picture(
    root: &Path,
    split: &'static str,
    path: &Path,
    label: Option<&PathBuf>,
    labels: io::Result<Option<Unscaled>>,
) -> Checked {
    let mut findings = Vec::new();
    let mut report = |code, path: &Path, message| {
        findings.push(of_file(code, split, path, message));
    };
    let (sha256, size) = match picture::look(&root.join(path)) {
        Ok(seen) => (Some(seen.sha256), seen.size),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report("picture-missing", path, "it is listed, but not there".into());
            (None, Ok((0, 0)))
        }
        Err(error) => (None, Err(error.to_string())),
    };
    if let Err(reason) = &size {
        report("picture-unreadable", path, format!("the picture cannot be decoded: {reason}"));
    }
    let is_voc = label.is_some_and(|l| l.extension().is_some_and(|e| e == "xml"));
    let unscaled = match (labels, label) {
        (Ok(Some(labels)), _) => labels,
        (Ok(None), Some(file)) if is_voc => {
            report("annotation-missing", file, format!("{} has no annotation", path.display()));
            Unscaled::Shares(Labels::default())
        }
        (Ok(None), _) => Unscaled::background(),
        (Err(error), file) => {
            let file = file.map_or(path, PathBuf::as_path);
            report("label-unreadable", file, format!("it cannot be read: {error}"));
            Unscaled::Shares(Labels::default())
        }
    };
    let mut labels = match size {
        Ok((width, height)) if width > 0 => unscaled.scale(width, height),
        _ => Labels { problems: unscaled.into_problems(), ..Labels::default() },
    };
    findings.extend(labels.problems.drain(..).map(|problem| of_label(split, problem)));
    Checked { path: path.to_owned(), sha256, labels, findings }
}

/// `work` of 0 to `count`, on all cores, in their order.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    let result = work(i);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
