//! The task `train`: the spine of the loop, epoch by epoch. One epoch of steps is `epoch`'s, what
//! is carried from step to step is `session`'s, what is written after an epoch is `outputs`'s.

mod care;
mod epoch;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod faults;
mod guard;
mod measuring;
mod memory_plan;
mod outputs;
mod pending;
mod session;
mod settings;
mod snapshot;

use std::sync::Arc;
use std::time::Instant;

use ybox_spec::config::{Task, TrainConfig};
use ybox_spec::events::{self, Event, Images};

use crate::data::Split;
use crate::detect::Classes;
use crate::error::TrainerError;
use crate::job::{Job, Outcome};
use crate::memory::resident_bytes;
use crate::scan::scan_for_training;
use crate::validate::{Validation, Verdict};
use care::Place;
use epoch::Trained;
pub use measuring::{Needs, OUT_OF_MEMORY, measure};
pub use memory_plan::{USABLE, advice};
use outputs::Outputs;
use session::Session;
pub use session::parameters;
use settings::Augmentations;

pub fn run(config: &TrainConfig, job: &mut Job) -> Result<Outcome, TrainerError> {
    let train = scan_for_training(job, "train", config)?;
    let val = scan_for_training(job, "val", config)?;
    let checkpointing = memory_plan::settle(config, job)?;
    let session = Session::new(config, job, train.clone(), checkpointing)?;
    run_session(config, job, session, [&train, &val])
}

fn run_session(
    config: &TrainConfig,
    job: &mut Job,
    mut session: Session,
    [train, val]: [&Arc<Split>; 2],
) -> Result<Outcome, TrainerError> {
    let side = i64::from(config.imgsz);
    if session.model.checkpointing_at(side, side) != session.checkpointing {
        let reason = "pictures this small need no saving, and recomputing would change bits";
        job.emit.note("no-checkpointing", format!("checkpointing is off: {reason}"));
    }
    let mut outputs = Outputs::create(config, &job.out, job.plots)?;
    outputs.draw_labels(train)?;
    job.emit.say(Event::Start {
        task: Task::Train,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: session.model.parameter_count() as u64,
        images: Images { train: train.len() as u64, val: val.len() as u64, source: 0 },
    });
    let augmentations = Augmentations::of(config, train);
    job.emit.say(Event::Settings {
        values: settings::in_force(
            config,
            session.model.spec(),
            session.schedule.effective(),
            &augmentations,
        ),
    });
    augmentations.note_what_does_nothing(&mut job.emit);

    let mut best = Best::new(config.patience);
    for epoch in 0..config.epochs {
        let started = Instant::now();
        job.emit.say(augmentations.event(epoch));
        let Some(trained) = session.train_epoch(epoch, job, &mut outputs)? else {
            let at = Place { epoch, step: outputs.steps() };
            session.heal(at, &mut job.emit)?;
            outputs.save_last(session.averaged()?, epoch)?;
            outputs.draw_findings(val)?;
            return Ok(Outcome::Interrupted { epoch });
        };
        let at = Place { epoch, step: outputs.steps() };
        session.heal(at, &mut job.emit)?;
        let averaged = session.averaged()?;
        let verdict = Validation {
            split: val,
            names: &config.names,
            nms: &config.nms,
            classes: Classes::default(),
            loss: &session.loss,
            workers: job.workers,
            epoch: (epoch + 1, config.epochs),
        }
        .run(averaged, &mut job.emit)?;
        let is_best = best.improves(epoch, &verdict.metrics);
        let row = row(config, epoch, &trained, &verdict, is_best, started);
        outputs.save_epoch(averaged, &row, trained.rates.lr)?;
        outputs.keep_findings(verdict.evaluator, is_best);
        let metrics = row.metrics.clone();
        job.emit.say(Event::Epoch(row));
        if epoch + 1 == config.epochs || best.exhausted(epoch) {
            if epoch + 1 < config.epochs {
                job.emit.note("stopped-early", best.why());
            }
            job.emit.say(Event::Metrics(metrics));
            break;
        }
    }
    outputs.draw_findings(val)?;
    Ok(Outcome::Finished)
}

fn row(
    config: &TrainConfig,
    epoch: u32,
    trained: &Trained,
    verdict: &Verdict,
    best: bool,
    started: Instant,
) -> events::Epoch {
    events::Epoch {
        epoch: epoch + 1,
        epochs: config.epochs,
        train: trained.losses,
        val: verdict.losses,
        metrics: verdict.metrics.clone(),
        lr: trained.rates.lr[0],
        instances: trained.instances,
        imgsz: config.imgsz,
        memory: resident_bytes(),
        images_per_second: trained.images_per_second,
        seconds: started.elapsed().as_secs_f64(),
        best,
    }
}

/// The best epoch so far, and when to give up on a better one.
struct Best {
    patience: u32,
    epoch: u32,
    fitness: f64,
}

impl Best {
    fn new(patience: u32) -> Self {
        Self { patience, epoch: 0, fitness: f64::NEG_INFINITY }
    }

    /// Whether `metrics` are better than all before: by mAP50-95, with a tenth of mAP50. Of equals
    /// the later one counts as better, so that the first epochs at 0 don't stay the best.
    fn improves(&mut self, epoch: u32, metrics: &events::Metrics) -> bool {
        let fitness = 0.1 * metrics.map50 + 0.9 * metrics.map;
        let better = fitness >= self.fitness;
        if better {
            (self.epoch, self.fitness) = (epoch, fitness);
        }
        better
    }

    fn exhausted(&self, epoch: u32) -> bool {
        self.patience > 0 && epoch - self.epoch >= self.patience
    }

    fn why(&self) -> String {
        let (patience, best) = (self.patience, self.epoch + 1);
        format!("no better epoch than {best} within {patience}: stopped early")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(map: f64) -> events::Metrics {
        events::Metrics { map, ..Default::default() }
    }

    #[test]
    fn never_stops_early_while_it_is_improving() {
        let mut best = Best::new(2);
        for epoch in 0..10 {
            assert!(best.improves(epoch, &metrics(f64::from(epoch))));
            assert!(!best.exhausted(epoch));
        }
    }

    #[test]
    fn stops_when_patience_is_spent_and_never_without_patience() {
        for (patience, stops) in [(2, true), (0, false)] {
            let mut best = Best::new(patience);
            best.improves(0, &metrics(0.5));
            assert!(!best.improves(1, &metrics(0.4)));
            assert!(!best.exhausted(1));
            assert!(!best.improves(2, &metrics(0.4)));
            assert_eq!(best.exhausted(2), stops);
        }
    }
}
