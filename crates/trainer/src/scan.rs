//! Reading a split at the start of a task: progress while it lasts, and every problem as a note.

use std::sync::Arc;

use ybox_spec::config::TrainConfig;

use crate::data::cache::DEFAULT_BYTES;
use crate::data::{self, ScanOptions, Split};
use crate::error::TrainerError;
use crate::job::Job;
use crate::progress::Phase;

/// Scans `split` for a model of `classes` classes.
pub fn scan(
    job: &mut Job,
    split: &str,
    classes: usize,
    imgsz: u32,
) -> Result<Arc<Split>, TrainerError> {
    Ok(Arc::new(read(job, split, classes as u32, imgsz)?))
}

/// Scans `split` for a training, with the classes that it is about.
pub fn scan_for_training(
    job: &mut Job,
    split: &str,
    config: &TrainConfig,
) -> Result<Arc<Split>, TrainerError> {
    // Where all classes are one, the config names just that one; labels still have their own.
    let classes = if config.single_cls { u32::MAX } else { config.names.len() as u32 };
    let mut scanned = read(job, split, classes, config.imgsz)?;
    if !config.classes.is_empty() {
        scanned.keep_classes(&config.classes);
    }
    if config.single_cls {
        scanned.merge_classes();
    }
    Ok(Arc::new(scanned))
}

fn read(job: &mut Job, split: &str, classes: u32, imgsz: u32) -> Result<Split, TrainerError> {
    let options = ScanOptions { classes, imgsz, workers: job.workers, cache_bytes: DEFAULT_BYTES };
    let emit = &mut job.emit;
    let mut phase = None;
    let scanned = data::scan(&job.manifest, &job.data, split, &options, |done, total| {
        let phase = phase.get_or_insert_with(|| Phase::start("scan", (0, 0), total));
        emit.progress(phase, done, || phase.progress(done, done, imgsz));
    })?;
    for problem in &scanned.problems {
        job.emit.say(problem.into());
    }
    Ok(scanned)
}
