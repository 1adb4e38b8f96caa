//! The files of a run folder against the record. Where a file has inner structure, it is checked
//! first, because it can name the very line that differs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use ybox_spec::Digest;
use ybox_spec::chain::read_chain;
use ybox_spec::config::{Config, KeyChange};
use ybox_spec::events::read_log;
use ybox_spec::manifest::Manifest;
use ybox_spec::record::{Artifact, Record};

use super::report::{Check, Mismatch};
use crate::record::folder::{file, files_below, is_inside, is_output};

/// Checks every file that the record lists, and that there are no results beside them. Returns the
/// manifest, if it is what the record says.
pub fn files(folder: &Path, record: &Record) -> (Vec<Check>, Option<Manifest>) {
    let mut manifest = None;
    let mut checks: Vec<_> = record
        .outputs
        .artifacts
        .iter()
        .chain(&record.files)
        .map(|artifact| check(folder, record, artifact, &mut manifest))
        .collect();
    checks.extend(unlisted(folder, record));
    (checks, manifest)
}

fn check(
    folder: &Path,
    record: &Record,
    artifact: &Artifact,
    manifest: &mut Option<Manifest>,
) -> Check {
    let verdict = read(folder, artifact).and_then(|content| {
        inner(record, artifact, content.bytes.as_deref(), manifest)?;
        let (expected, found) = (artifact.sha256, content.digest);
        if expected != found {
            return Err(Mismatch::Digest { expected, found });
        }
        Ok(found)
    });
    match verdict {
        Ok(digest) => Check::ok(&artifact.path, digest),
        Err(mismatch) => {
            if artifact.path == file::MANIFEST {
                *manifest = None;
            }
            Check::bad(&artifact.path, mismatch)
        }
    }
}

struct Content {
    digest: Digest,
    /// Of files with inner structure only.
    bytes: Option<Vec<u8>>,
}

fn read(folder: &Path, artifact: &Artifact) -> Result<Content, Mismatch> {
    if !is_inside(&artifact.path) {
        return Err(Mismatch::Unreadable("its path leaves the run folder".into()));
    }
    let place = folder.join(&artifact.path);
    let structured = [file::CONFIG, file::MANIFEST, file::EVENTS, file::STEPS];
    let content = if structured.contains(&artifact.path.as_str()) {
        fs::read(&place).map(|bytes| Content { digest: Digest::of(&bytes), bytes: Some(bytes) })
    } else {
        Digest::of_file(&place).map(|(digest, _)| Content { digest, bytes: None })
    };
    content.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Mismatch::Missing,
        _ => Mismatch::Unreadable(error.to_string()),
    })
}

fn inner(
    record: &Record,
    artifact: &Artifact,
    bytes: Option<&[u8]>,
    manifest: &mut Option<Manifest>,
) -> Result<(), Mismatch> {
    let Some(bytes) = bytes else { return Ok(()) };
    let text = text(bytes)?;
    match artifact.path.as_str() {
        file::CONFIG => config(text, record),
        file::EVENTS => events(text, record),
        file::STEPS => steps(text, record),
        file::MANIFEST => {
            *manifest = Some(data_manifest(text, record)?);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Mismatch> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Mismatch::Unreadable(format!("line {line} is not UTF-8"))
    })
}

fn config(text: &str, record: &Record) -> Result<(), Mismatch> {
    let config: Config = serde_yaml::from_str(text)
        .map_err(|error| Mismatch::Unreadable(format!("not a config: {error}")))?;
    match config == record.config {
        true => Ok(()),
        false => Err(Mismatch::Contradiction(differing_keys(&config, &record.config))),
    }
}

fn differing_keys(found: &Config, expected: &Config) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
    let line = |change: KeyChange| {
        format!("{}: expected {}, found {}", change.key, shown(&change.a), shown(&change.b))
    };
    expected.changes(found).into_iter().map(line).collect::<Vec<_>>().join("; ")
}

fn events(text: &str, record: &Record) -> Result<(), Mismatch> {
    let (_, found) = read_log(text).map_err(|error| Mismatch::Chain(error.to_string()))?;
    let expected = record.events;
    if found.count != expected.count {
        let reason = format!("{} lines, where the record has {}", found.count, expected.count);
        return Err(Mismatch::Chain(reason));
    }
    if found.head != expected.head {
        let reason = format!("line {} was changed: its digest is not the record's", expected.count);
        return Err(Mismatch::Chain(reason));
    }
    Ok(())
}

fn steps(text: &str, record: &Record) -> Result<(), Mismatch> {
    let (_, found) = read_chain(text).map_err(|error| Mismatch::Chain(error.to_string()))?;
    match record.outputs.steps {
        Some(expected) if expected.count != found.count => {
            let reason = format!("{} steps, where the record has {}", found.count, expected.count);
            Err(Mismatch::Chain(reason))
        }
        Some(expected) if expected.head != found.head => {
            Err(Mismatch::Chain("its last digest is not the record's".into()))
        }
        Some(_) => Ok(()),
        None => Err(Mismatch::Contradiction("the record has no steps".into())),
    }
}

fn data_manifest(text: &str, record: &Record) -> Result<Manifest, Mismatch> {
    let manifest: Manifest =
        text.parse().map_err(|error| Mismatch::Unreadable(format!("not a manifest: {error}")))?;
    let (expected, found) = (record.inputs.data, manifest.root());
    match expected == found {
        true => Ok(manifest),
        false => Err(Mismatch::Digest { expected, found }),
    }
}

/// What every record lists but this one does not, and results that it does not list.
fn unlisted(folder: &Path, record: &Record) -> Vec<Check> {
    let listed: BTreeSet<&str> =
        record.outputs.artifacts.iter().chain(&record.files).map(|a| a.path.as_str()).collect();
    let required = [file::CONFIG, file::EVENTS, file::MANIFEST].into_iter();
    let absent = required.filter(|name| !listed.contains(name)).map(str::to_owned);
    let task = record.config.task();
    let extra = files_below(folder)
        .unwrap_or_default()
        .into_iter()
        .filter(|path| is_output(task, path))
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| !listed.contains(path.as_str()));
    absent.chain(extra).map(|path| Check::bad(path, Mismatch::Unrecorded)).collect()
}
