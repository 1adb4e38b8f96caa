//! `ybox data check`: everything that is wrong with a data set, found without a run, and pictures
//! of what is in it. The rules are those of `contents`, and of pictures that stand there twice.

mod report;
mod samples;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::dataset::DataSet;

use crate::contents::{self, Content, Depth, Finding};
use crate::ui::Screen;

pub use report::{Report, SplitReport};
pub use samples::SamplesError;

/// Checks all splits of `set`, which was opened from `yaml`. With a folder for `pictures`, sheets
/// of samples are written there.
pub fn check(
    yaml: &Path,
    set: &DataSet,
    pictures: Option<&Path>,
    screen: &Screen,
) -> Result<Report, SamplesError> {
    let mut report = Report {
        data: yaml.to_owned(),
        format: set.format(),
        names: set.names().to_vec(),
        splits: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
        pictures: Vec::new(),
    };
    pictures.map_or(Ok(()), samples::make_folder)?;
    let mut seen = HashMap::new();
    for split in set.splits() {
        let contents = read(set, split, screen, &mut report);
        if let Some(folder) = pictures {
            report.pictures.extend(samples::draw(set, split, &contents, folder)?);
        }
        check_split(split, contents, &mut seen, &mut report);
    }
    if report.splits.is_empty() {
        let message = "it has none of the splits `train`, `val` and `test`".to_owned();
        report.problems.push(Finding::whole("split-missing", None, message));
    }
    without_objects(&mut report);
    Ok(report)
}

/// Pictures by content: where one was first seen.
type Seen = HashMap<Digest, (&'static str, PathBuf)>;

/// The pictures of `split`; what is wrong with it as a whole is reported.
fn read(set: &DataSet, split: &'static str, screen: &Screen, report: &mut Report) -> Vec<Content> {
    let bar = screen.bar(&format!("checking {split}"), 0);
    let done = |done, total| bar.position(done, total);
    let (contents, findings) = contents::read(set, split, Depth::Whole, &done)
        .unwrap_or_else(|error| (Vec::new(), Finding::of_split(split, &error)));
    report.problems.extend(findings);
    contents
}

fn check_split(split: &'static str, contents: Vec<Content>, seen: &mut Seen, report: &mut Report) {
    let mut counts = vec![0; report.names.len()];
    for object in contents.iter().flat_map(|c| &c.labels.objects) {
        counts[object.class as usize] += 1;
    }
    let empty = |c: &&Content| c.labels.usable && c.labels.objects.is_empty();
    let backgrounds = contents.iter().filter(empty).count();
    let ignored: u64 = contents.iter().map(|c| c.labels.ignored).sum();
    if ignored > 0 {
        let message = format!("objects marked `iscrowd` or `difficult`, not used: {ignored}");
        report.notes.push(Finding::whole("ignored", Some(split), message));
    }
    let pictures = contents.len();
    for picture in contents {
        report.problems.extend(repeated(split, &picture, seen));
        report.problems.extend(picture.findings);
    }
    report.splits.push(SplitReport {
        split,
        pictures,
        objects: counts.iter().sum(),
        backgrounds,
        problems: report.problems.iter().filter(|p| p.split == Some(split)).count(),
        objects_by_class: counts,
    });
}

/// The same picture a second time, in this split or another.
fn repeated(split: &'static str, picture: &Content, seen: &mut Seen) -> Option<Finding> {
    let sha256 = picture.sha256?;
    let Some((theirs, path)) = seen.get(&sha256) else {
        seen.insert(sha256, (split, picture.path.clone()));
        return None;
    };
    let code = if *theirs == split { "picture-twice" } else { "picture-in-two-splits" };
    let message = format!("it is the same picture as {} of `{theirs}`", path.display());
    Some(Finding::of_file(code, split, &picture.path, message))
}

fn without_objects(report: &mut Report) {
    let Some(train) = report.splits.iter_mut().find(|s| s.split == "train") else { return };
    let named = report.names.iter().zip(&train.objects_by_class);
    for (name, _) in named.filter(|(_, count)| **count == 0) {
        let message = format!("there is no object of class {name}");
        report.problems.push(Finding::whole("class-without-objects", Some("train"), message));
        train.problems += 1;
    }
}
