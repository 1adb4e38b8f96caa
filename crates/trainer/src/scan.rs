//! Reading a split at the start of a task: progress while it lasts, and every problem as a note.

use std::sync::Arc;

use ybox_spec::config::{TrainConfig, ValConfig};

use crate::data::{self, ScanOptions, Split};
use crate::error::TrainerError;
use crate::job::Job;
use crate::progress::Phase;

/// Scans the split of a validation, with the classes that it is about.
pub fn scan_for_validation(job: &mut Job, config: &ValConfig) -> Result<Arc<Split>, TrainerError> {
    let choice = Choice { only: &config.classes, single: config.single_cls };
    scan(job, &config.split, config.imgsz, &config.names, choice)
}

/// Scans `split` for a training, with the classes that it is about.
pub fn scan_for_training(
    job: &mut Job,
    split: &str,
    config: &TrainConfig,
) -> Result<Arc<Split>, TrainerError> {
    let choice = Choice { only: &config.classes, single: config.single_cls };
    scan(job, split, config.imgsz, &config.names, choice)
}

/// Which labels count, and whether as one class.
struct Choice<'a> {
    /// All where it is empty.
    only: &'a [u32],
    single: bool,
}

fn scan(
    job: &mut Job,
    split: &str,
    imgsz: u32,
    names: &[String],
    choice: Choice,
) -> Result<Arc<Split>, TrainerError> {
    // Where all classes are one, the config may name just that one; labels still have their own.
    let names = if choice.single { None } else { Some(names) };
    let mut scanned = read(job, split, names, imgsz)?;
    if !choice.only.is_empty() {
        scanned.keep_classes(choice.only);
    }
    if choice.single {
        scanned.merge_classes();
    }
    Ok(Arc::new(scanned))
}

/// Without `names` labels may have any class.
fn read(
    job: &mut Job,
    split: &str,
    names: Option<&[String]>,
    imgsz: u32,
) -> Result<Split, TrainerError> {
    let options = ScanOptions {
        classes: names.map_or(u32::MAX, |names| names.len() as u32),
        names: names.map(Arc::from),
        imgsz,
        workers: job.workers,
        cache_bytes: job.cache.memory(),
        disk: job.cache.disk(),
    };
    let emit = &mut job.emit;
    let mut phase = None;
    let scanned = data::scan(&job.manifest, &job.data, split, &options, |done, total| {
        let phase = phase.get_or_insert_with(|| Phase::start("scan", (0, 0), total));
        emit.progress(phase, done, || phase.progress(done, done, imgsz));
    })?;
    for problem in &scanned.problems {
        job.emit.say(problem.into());
    }
    job.cache.note(split, &scanned, &mut job.emit);
    Ok(scanned)
}
