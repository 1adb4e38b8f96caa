//! The layers that an image is to have, each with the key of what it is made from, before any of them
//! is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use ybox_spec::Digest;

use super::content::Content;
use super::pack::PackedLayer;
use super::{ImageError, pack};
use crate::lock::{Lock, LockedDeb, LockedWheel, Placement, Recipe, StandIns, Wheel};

/// A layer of an image that is about to be built.
pub struct Planned<'a> {
    pub name: String,
    pub key: Digest,
    pub source: Source<'a>,
    pub packed: Option<PackedLayer>,
}

/// What a layer is made of.
pub enum Source<'a> {
    Base(Vec<&'a LockedDeb>),
    Wheels(Vec<(&'a Wheel, &'a LockedWheel)>),
    /// For the layers below.
    StandIns(&'a StandIns),
    /// Path in the image, content.
    Files {
        executable: bool,
        files: Vec<(String, Content)>,
    },
}

fn planned<'a>(name: &str, inputs: &impl Serialize, source: Source<'a>) -> Planned<'a> {
    Planned { name: name.into(), key: pack::key(name, inputs), source, packed: None }
}

pub fn base_layer<'a>(recipe: &Recipe, lock: &'a Lock) -> Result<Planned<'a>, ImageError> {
    for package in &recipe.base.packages {
        if !lock.debs.iter().any(|deb| deb.name == *package) {
            return Err(ImageError::NotLocked(format!("package {package}")));
        }
    }
    let debs: Vec<_> = lock.debs.iter().collect();
    let inputs: Vec<_> = debs.iter().map(|deb| (&deb.name, deb.sha256)).collect();
    let inputs = (suite(recipe), &recipe.base.exclude, inputs);
    Ok(planned("base", &inputs, Source::Base(debs)))
}

pub fn suite(recipe: &Recipe) -> &str {
    recipe.base.suites.first().map_or("unknown", String::as_str)
}

/// One layer for each name that the recipe's wheels go to, in the order of their appearance.
pub fn wheel_layers<'a>(
    recipe: &'a Recipe,
    lock: &'a Lock,
) -> Result<Vec<Planned<'a>>, ImageError> {
    let mut layers: Vec<(&str, Vec<(&Wheel, &LockedWheel)>)> = Vec::new();
    for wheel in &recipe.wheels {
        let locked = lock.wheels.iter().find(|locked| locked.name == wheel.name);
        let locked =
            locked.ok_or_else(|| ImageError::NotLocked(format!("wheel {}", wheel.name)))?;
        match layers.iter_mut().find(|(name, _)| *name == wheel.layer) {
            Some((_, wheels)) => wheels.push((wheel, locked)),
            None => layers.push((&wheel.layer, vec![(wheel, locked)])),
        }
    }
    let layer = |(name, wheels): (&str, Vec<(&'a Wheel, &'a LockedWheel)>)| {
        let inputs: Vec<(Digest, &Vec<Placement>)> =
            wheels.iter().map(|(wheel, locked)| (locked.sha256, &wheel.files)).collect();
        planned(name, &inputs, Source::Wheels(wheels.clone()))
    };
    Ok(layers.into_iter().map(layer).collect())
}

/// What the stand-ins define follows from the layers below.
pub fn stand_in_layer<'a>(
    recipe: &Recipe,
    stand_ins: &'a StandIns,
    below: &[Planned],
) -> Planned<'a> {
    let below: Vec<Digest> = below.iter().map(|layer| layer.key).collect();
    let inputs = (&recipe.variant, &recipe.base.architecture, stand_ins, below);
    planned(&stand_ins.layer, &inputs, Source::StandIns(stand_ins))
}

pub fn read_trainer(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => ImageError::NoTrainer(path.into()),
        _ => ImageError::io(format!("read the trainer {}", path.display()))(e),
    })
}

/// Path in the image and content, sorted.
pub fn preset_files(recipe: &Recipe, presets: &Path) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
    let failed = || ImageError::io(format!("read the presets in {}", presets.display()));
    let mut files = Vec::new();
    for path in preset_paths(presets).map_err(failed())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = format!("{}/{name}", recipe.presets.to.trim_end_matches('/'));
        files.push((to, fs::read(&path).map_err(failed())?));
    }
    if files.is_empty() {
        return Err(ImageError::NoPresets(presets.into()));
    }
    Ok(files)
}

/// The `*.yaml` files directly in a folder, sorted.
fn preset_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

pub fn files_layer<'a>(name: &str, executable: bool, files: Vec<(String, Vec<u8>)>) -> Planned<'a> {
    let inputs: Vec<_> = files.iter().map(|(to, bytes)| (to.clone(), Digest::of(bytes))).collect();
    planned(name, &inputs, Source::Files { executable, files: contents(files) })
}

pub fn contents(files: Vec<(String, Vec<u8>)>) -> Vec<(String, Content)> {
    files.into_iter().map(|(to, bytes)| (to, Content::bytes(bytes))).collect()
}
