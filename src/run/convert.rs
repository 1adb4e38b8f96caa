//! Converting weights between PyTorch's form and safetensors. The trainer of an image does it, in a
//! container that has the input to read, one folder to write, and no network: whatever a file from
//! somebody else may do to its reader, it does there.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::RunError;
use super::error::Said;
use super::execute::{container_of, mount};
use crate::engine::{Engine, Output, StopRequests};
use crate::image::StoredImage;
use crate::ui::Failure;

const FORMS: [&str; 3] = ["safetensors", "pt", "pth"];
/// Inside the container.
const IN: &str = "/weights/input";
const OUT: &str = "/out";

/// What to convert.
#[derive(Debug)]
pub struct Conversion {
    /// Absolute.
    pub input: PathBuf,
    pub output: PathBuf,
    /// Further arguments to `ytrain convert`.
    pub options: Vec<String>,
}

/// Converts; what the trainer says goes to `say`.
pub fn convert(
    conversion: &Conversion,
    image: StoredImage,
    engine: &dyn Engine,
    say: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let name = format!("weights.{}", form(&conversion.output)?);
    let input = format!("{IN}.{}", form(&conversion.input)?);
    fs::File::open(&conversion.input)
        .map_err(|source| RunError::Read { path: conversion.input.clone(), source })?;
    let written = |source| RunError::Write { path: conversion.output.clone(), source };
    let parent = conversion.output.parent().expect("a file is in a folder");
    let folder =
        tempfile::Builder::new().prefix(".convert-").tempdir_in(parent).map_err(written)?;
    engine.prepare(&image)?;
    let mut arguments = vec!["convert".to_owned(), input.clone(), format!("{OUT}/{name}")];
    arguments.extend_from_slice(&conversion.options);
    let mounts = vec![mount(&conversion.input, &input, false), mount(folder.path(), OUT, true)];
    let container = container_of(&image, arguments, mounts, engine);
    let mut last = String::new();
    let ended = engine.run(&container, &StopRequests::new(0), &mut |output| {
        let (Output::Out(line) | Output::Err(line)) = output;
        last = line.replace(&input, &conversion.input.display().to_string());
        if !last.starts_with(ERROR) {
            say(&last);
        }
    })?;
    if ended.code != 0 {
        let source = Said(last.trim_start_matches(ERROR).to_owned());
        return Err(RunError::Conversion { path: conversion.input.clone(), source }.into());
    }
    Ok(fs::rename(folder.path().join(name), &conversion.output).map_err(written)?)
}

/// What the trainer's last line begins with when it fails.
const ERROR: &str = "error: ";

fn form(path: &Path) -> Result<&str, RunError> {
    let ending = path.extension().and_then(OsStr::to_str);
    ending
        .filter(|ending| FORMS.contains(ending))
        .ok_or_else(|| RunError::Form { path: path.to_owned() })
}
