//! `ybox data convert`: a data set in another form. Everything is read before anything is written,
//! into a folder beside the target that takes its name when it is whole: whoever finds the new set
//! finds all of it. The old one is never changed.

mod annotations;
mod entry;
mod error;
mod losses;
mod names;
mod write;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde::Serialize;
use ybox_labels::write::voc;
use ybox_spec::dataset::{DataSet, Format};

use crate::contents::{self, Content, Depth, Finding};
use crate::ui::Screen;

pub use error::ConvertError;
use losses::Losses;
use write::Writer;

/// What to convert, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The YAML file of the old set.
    pub data: &'a Path,
    /// The folder of the new one, not yet there.
    pub target: &'a Path,
    pub to: Format,
    /// Leave out what is wrong with labels and pictures instead of refusing.
    pub drop_bad: bool,
    /// Leave out the outlines.
    pub boxes_only: bool,
    /// Copy the pictures; else they are hard links where the file system has them.
    pub copy: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The YAML file of the new set.
    pub data: PathBuf,
    pub format: Format,
    pub splits: Vec<SplitReport>,
    pub linked: u64,
    pub copied: u64,
    /// What the new set does not hold.
    pub notes: Vec<String>,
    /// What was wrong and is left out.
    pub dropped: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub struct SplitReport {
    pub split: &'static str,
    pub pictures: usize,
    pub objects: usize,
    /// Objects with an outline.
    pub outlines: usize,
}

impl SplitReport {
    pub fn shown(&self) -> String {
        let Self { split, pictures, objects, outlines } = self;
        format!("{split}: {pictures} pictures, {objects} objects, {outlines} with outlines")
    }
}

/// A split of the old set: its usable pictures.
struct Split {
    name: &'static str,
    contents: Vec<Content>,
}

/// Converts `set`, which was opened from the request's YAML file.
pub fn convert(request: &Request, set: &DataSet, screen: &Screen) -> Result<Report, ConvertError> {
    if fs::symlink_metadata(request.target).is_ok() {
        return Err(ConvertError::Exists(request.target.to_owned()));
    }
    check_names(set.names(), request.to)?;
    let (mut splits, findings) = read(set, request, screen)?;
    if !(findings.is_empty() || request.drop_bad) {
        return Err(ConvertError::Findings { data: request.data.to_owned(), findings });
    }
    if let Some(split) = splits.iter().find(|split| split.contents.is_empty()) {
        let data = request.data.to_owned();
        return Err(ConvertError::NoPicture { data, split: split.name });
    }
    let losses = Losses::take(&mut splits, request);
    let placed = build(request, set, &splits, screen)?;
    Ok(Report {
        data: request.target.join(write::DESCRIPTION),
        format: request.to,
        splits: splits.iter().map(summary).collect(),
        linked: placed.linked,
        copied: placed.copied,
        notes: losses.notes(request.to),
        dropped: findings,
    })
}

/// The classes of COCO and Pascal VOC are found by their names.
fn check_names(names: &[String], to: Format) -> Result<(), ConvertError> {
    if to == Format::Yolo {
        return Ok(());
    }
    for (i, name) in names.iter().enumerate() {
        let reason = match () {
            () if names[..i].contains(name) => "another class has the name",
            () if to == Format::Voc && !voc::is_writable(name) => {
                "it is empty, or has spaces at an end or a line break"
            }
            () => continue,
        };
        return Err(ConvertError::ClassName { to, name: name.clone(), reason });
    }
    Ok(())
}

fn read(
    set: &DataSet,
    request: &Request,
    screen: &Screen,
) -> Result<(Vec<Split>, Vec<Finding>), ConvertError> {
    let (mut splits, mut findings) = (Vec::new(), Vec::new());
    for name in set.splits() {
        let bar = screen.bar(&format!("reading {name}"), 0);
        let done = |done, total| bar.position(done, total);
        let (mut contents, of_none) = contents::read(set, name, Depth::Size, &done)?;
        findings.extend(of_none);
        for content in &mut contents {
            findings.append(&mut content.findings);
        }
        contents.retain(|content| content.size.is_some() && content.labels.usable);
        splits.push(Split { name, contents });
    }
    if splits.is_empty() {
        return Err(ConvertError::NoSplit(request.data.to_owned()));
    }
    Ok((splits, findings))
}

fn summary(split: &Split) -> SplitReport {
    let objects = || split.contents.iter().flat_map(|content| &content.labels.objects);
    SplitReport {
        split: split.name,
        pictures: split.contents.len(),
        objects: objects().count(),
        outlines: objects().filter(|object| !object.polygon.is_empty()).count(),
    }
}

/// Writes the new set beside its place, and moves it there.
fn build(
    request: &Request,
    set: &DataSet,
    splits: &[Split],
    screen: &Screen,
) -> Result<write::Placed, ConvertError> {
    let parent = match request.target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(ConvertError::writing(parent))?;
    let folder = beside(request.target, parent).map_err(ConvertError::writing(parent))?;
    let writer = Writer::new(folder.path(), set, request);
    let placed = writer.write(splits, screen)?;
    publish(folder, request.target, parent)?;
    Ok(placed)
}

fn beside(target: &Path, parent: &Path) -> io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    // A folder like any other, not one for its owner alone.
    builder.prefix(&prefix).suffix(".tmp").permissions(fs::Permissions::from_mode(0o777));
    builder.tempdir_in(parent)
}

/// Has everything on the disk before the name says that it is there.
fn publish(folder: tempfile::TempDir, target: &Path, parent: &Path) -> Result<(), ConvertError> {
    let synced = File::open(folder.path()).and_then(|file| Ok(rustix::fs::syncfs(file)?));
    synced.map_err(ConvertError::writing(folder.path()))?;
    match rustix::fs::renameat_with(CWD, folder.path(), CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => {
            // It has another name now: there is nothing to remove.
            let _ = folder.keep();
        }
        Err(rustix::io::Errno::EXIST) => return Err(ConvertError::Exists(target.to_owned())),
        Err(error) => return Err(ConvertError::writing(target)(error.into())),
    }
    File::open(parent).and_then(|f| f.sync_all()).map_err(ConvertError::writing(parent))
}
