//! The task `val`: given weights, measured on a split. Writes `metrics.json`, and pictures of
//! what was found.

use ybox_spec::config::{Task, ValConfig};
use ybox_spec::events::{Event, Images};
use ybox_spec::files;

use crate::error::TrainerError;
use crate::job::Job;
use crate::loading::load_model;
use crate::loss::{Assigner, DetectionLoss, Gains};
use crate::report::Pictures;
use crate::scan::scan;
use crate::validate::Validation;

pub fn run(config: &ValConfig, job: &mut Job) -> Result<(), TrainerError> {
    let model = load_model(job, &config.model, config.names.len(), config.compute.attention)?;
    let split = scan(job, &config.split, &config.names, config.imgsz)?;
    job.emit.say(Event::Start {
        task: Task::Val,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: model.parameter_count() as u64,
        images: Images { val: split.len() as u64, ..Images::default() },
    });
    let loss = DetectionLoss::new(config.names.len(), Gains::default(), Assigner::default());
    let validation = Validation {
        split: &split,
        names: &config.names,
        nms: &config.nms,
        loss: &loss,
        workers: job.workers,
        epoch: (1, 1),
    };
    let verdict = validation.run(&model, &mut job.emit)?;
    let path = job.out.join("metrics.json");
    let text = serde_json::to_string_pretty(&verdict.metrics).expect("metrics are plain data");
    files::write_atomic(&path, (text + "\n").as_bytes()).map_err(TrainerError::writing(&path))?;
    job.emit.say(Event::Metrics(verdict.metrics));
    if job.plots {
        Pictures::new(&job.out, &config.names).validation(&split, &verdict.evaluator)?;
    }
    Ok(())
}
