//! The task `val`: given weights, measured on a split. Writes `metrics.json`, what was found as
//! COCO results, and pictures of it.

use ybox_spec::config::{SINGLE_CLASS, Task, ValConfig};
use ybox_spec::events::{Event, Images};
use ybox_spec::files;

use crate::coco::CocoResults;
use crate::data::Split;
use crate::detect::Classes;
use crate::error::TrainerError;
use crate::eval::Evaluator;
use crate::job::Job;
use crate::loading::load_model;
use crate::loss::{Assigner, DetectionLoss, Gains};
use crate::report::Pictures;
use crate::scan::scan_for_validation;
use crate::validate::Validation;

pub fn run(config: &ValConfig, job: &mut Job) -> Result<(), TrainerError> {
    let model = load_model(job, &config.model, config.names.len(), config.compute.attention)?;
    let split = scan_for_validation(job, config)?;
    job.emit.say(Event::Start {
        task: Task::Val,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: model.parameter_count() as u64,
        images: Images { val: split.len() as u64, ..Images::default() },
    });
    let loss = DetectionLoss::new(config.names.len(), Gains::default(), Assigner::default());
    let single = [SINGLE_CLASS.to_owned()];
    let names = if config.single_cls { &single } else { config.names.as_slice() };
    let validation = Validation {
        precision: None,
        split: &split,
        names,
        nms: &config.nms,
        classes: classes(config),
        loss: &loss,
        workers: job.workers,
        epoch: (1, 1),
    };
    let verdict = validation.run(&model, &mut job.emit)?;
    if verdict.not_finite > 0 {
        let (pictures, all) = (verdict.not_finite, split.len());
        let why =
            format!("the loss of {pictures} of {all} pictures is not finite: the model overflows");
        job.emit.note("loss-not-finite", why);
    }
    let path = job.out.join("metrics.json");
    let text = serde_json::to_string_pretty(&verdict.metrics).expect("metrics are plain data");
    files::write_atomic(&path, (text + "\n").as_bytes()).map_err(TrainerError::writing(&path))?;
    if config.save_json {
        save_json(job, names, &split, &verdict.evaluator)?;
    }
    job.emit.say(Event::Metrics(verdict.metrics));
    if job.plots {
        Pictures::new(&job.out, names).validation(&split, &verdict.evaluator)?;
    }
    Ok(())
}

fn classes(config: &ValConfig) -> Classes<'_> {
    // A model of one class finds whatever it was trained on; `classes` then chooses among labels.
    let knows_one = config.single_cls && config.names.len() == 1;
    let only = if knows_one { &[] } else { config.classes.as_slice() };
    Classes { only, single: config.single_cls }
}

fn save_json(
    job: &mut Job,
    names: &[String],
    split: &Split,
    evaluator: &Evaluator,
) -> Result<(), TrainerError> {
    let mut results = CocoResults::new(names);
    for (id, sample) in (0..).zip(&split.samples) {
        let found = evaluator.picture(id).map_or(&[][..], |(found, _)| found);
        let twin = results.add(&sample.path, found);
        job.note_same_image_id(&sample.path, twin);
    }
    results.write(&job.out)
}
