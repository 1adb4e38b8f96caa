//! The task `train`: the spine of the loop, epoch by epoch. One epoch of steps is `epoch`'s, what
//! is carried from step to step is `session`'s, what is written after an epoch is `outputs`'s.

mod best;
mod care;
mod chain;
mod checkpoint;
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
#[cfg(test)]
mod precision_tests;
mod resume_error;
mod scaling;
mod session;
mod settings;
mod snapshot;
mod sums;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ybox_spec::checkpoint::FOLDER;
use ybox_spec::config::{Config, Task, TrainConfig};
use ybox_spec::events::{self, Event, Images};

use crate::data::Split;
use crate::detect::Classes;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::job::{Job, Outcome};
use crate::loss::DetectionLoss;
use crate::memory;
use crate::numerics;
use crate::scan::scan_for_training;
use crate::validate::{Validation, Verdict};
use best::Best;
use care::Place;
pub use checkpoint::CheckpointError;
use checkpoint::{About, Checkpoint, RunIdentity, Shelf};
use epoch::Trained;
pub use measuring::{Needs, measure, objects, pictures};
pub use memory_plan::{USABLE, advice};
use outputs::Outputs;
pub use scaling::{backward, unscale};
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
    splits @ [train, val]: [&Arc<Split>; 2],
) -> Result<Outcome, TrainerError> {
    let mut shelf = Shelf::new(&job.out.join(FOLDER), job.checkpoint_every);
    let run = identity(config, job);
    let (mut outputs, mut best) = begin(config, job, &mut session, (&mut shelf, run))?;
    outputs.draw_labels(train)?;
    let augmentations = Augmentations::of(config, train);
    announce(config, job, &session, &augmentations, splits);

    for epoch in session.epoch..config.epochs {
        let started = Instant::now();
        job.emit.say(augmentations.event(epoch));
        let mut between = |session: &Session, outputs: &Outputs, emit: &mut Emitter| match shelf
            .is_due(outputs.steps())
        {
            true => keep(&mut shelf, run, (session, outputs, &best), emit),
            false => Ok(()),
        };
        let Some(trained) = session.train_epoch(job, &mut outputs, &mut between)? else {
            keep(&mut shelf, run, (&session, &outputs, &best), &mut job.emit)?;
            shelf.finish(&mut job.emit);
            let at = Place { epoch, step: outputs.steps() };
            session.heal(at, &mut job.emit)?;
            outputs.save_last(session.averaged()?, epoch)?;
            outputs.draw_findings(val)?;
            return Ok(job.stopped(epoch, outputs.steps()));
        };
        let at = Place { epoch, step: outputs.steps() };
        session.heal(at, &mut job.emit)?;
        let averaged = session.averaged()?;
        let validation = validation(config, job.workers, &session.loss, val, epoch)?;
        let verdict = validation.run(averaged, &mut job.emit)?;
        let is_best = best.improves(epoch, verdict.fitness());
        let row = row(config, epoch, &trained, &verdict, is_best, started);
        outputs.save_epoch(averaged, &row, trained.rates.lr)?;
        outputs.keep_findings(verdict.evaluator, is_best);
        if verdict.not_finite > 0 {
            session.doubt(verdict.not_finite, at, &mut job.emit)?;
        }
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
    shelf.finish(&mut job.emit);
    draw_findings(config, job, &session, &mut outputs, val)?;
    Ok(Outcome::Finished)
}

fn identity(config: &TrainConfig, job: &Job) -> RunIdentity {
    RunIdentity { config: Config::Train(config.clone()).digest(), data: job.manifest.root() }
}

/// The outputs at the point where `session` stands: at the first step, or where the newest
/// checkpoint was kept, if the job goes on with what there is.
fn begin(
    config: &TrainConfig,
    job: &mut Job,
    session: &mut Session,
    (shelf, run): (&mut Shelf, RunIdentity),
) -> Result<(Outputs, Best), TrainerError> {
    let (out, plots) = (job.out.clone(), job.plots);
    if job.resume {
        let open = |about: &About| {
            let state = &about.outputs;
            let best = state.best.map(|digest| shelf.best(&digest));
            let at = (state, about.session.epoch);
            Outputs::resume(config, (&out, plots), at, best.as_deref())
        };
        let found = checkpoint::resume(shelf, run, session, open, &mut job.emit)?;
        let events = found.as_ref().map_or(0, |(about, _)| about.events);
        let step = found.as_ref().map_or(0, |(about, _)| about.outputs.chain.count);
        let since = job.emit.found();
        job.emit.say(Event::Resumed { epoch: session.epoch + 1, step, events, since });
        shelf.begin_after(step);
        if let Some((about, outputs)) = found {
            return Ok((outputs, about.best));
        }
    }
    Ok((Outputs::create(config, &out, plots)?, Best::new(config.patience)))
}

fn announce(
    config: &TrainConfig,
    job: &mut Job,
    session: &Session,
    augmentations: &Augmentations,
    [train, val]: [&Arc<Split>; 2],
) {
    let side = i64::from(config.imgsz);
    if session.model.checkpointing_at(side, side) != session.checkpointing {
        let reason = "pictures this small need no saving, and recomputing would change bits";
        job.emit.note("no-checkpointing", format!("checkpointing is off: {reason}"));
    }
    job.emit.say(Event::Start {
        task: Task::Train,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: session.model.parameter_count() as u64,
        images: Images { train: train.len() as u64, val: val.len() as u64, source: 0 },
    });
    let (spec, effective) = (session.model.spec(), session.schedule.effective());
    let values = settings::in_force(config, spec, effective, augmentations);
    job.emit.say(Event::Settings { values });
    augmentations.note_what_does_nothing(&mut job.emit);
}

/// Keeps a checkpoint, unless none are wanted.
fn keep(
    shelf: &mut Shelf,
    run: RunIdentity,
    (session, outputs, best): (&Session, &Outputs, &Best),
    emit: &mut Emitter,
) -> Result<(), TrainerError> {
    if !shelf.takes_any() {
        return Ok(());
    }
    let checkpoint = Checkpoint::of(session, outputs, best, run, emit)?;
    let log = emit.log().file().map_err(TrainerError::writing(Path::new("events.jsonl")))?;
    let growing = outputs.growing()?.into_iter().chain([log]).collect();
    shelf.keep(checkpoint, outputs.best(), growing, emit);
    Ok(())
}

fn validation<'a>(
    config: &'a TrainConfig,
    workers: usize,
    loss: &'a DetectionLoss,
    split: &'a Arc<Split>,
    epoch: u32,
) -> Result<Validation<'a>, TrainerError> {
    Ok(Validation {
        split,
        names: &config.names,
        nms: &config.nms,
        classes: Classes::default(),
        loss,
        workers,
        precision: numerics::evaluation_precision(config.amp)?,
        epoch: (epoch + 1, config.epochs),
    })
}

/// Draws how it went to its end. Who resumed after the best epoch has not seen what it found: it is
/// measured again, from its weights.
fn draw_findings(
    config: &TrainConfig,
    job: &mut Job,
    session: &Session,
    outputs: &mut Outputs,
    val: &Arc<Split>,
) -> Result<(), TrainerError> {
    if outputs.lacks_findings() {
        let best = session.with_weights(outputs.best())?;
        let last = session.epoch.saturating_sub(1);
        let validation = validation(config, job.workers, &session.loss, val, last)?;
        outputs.keep_findings(validation.run(best, &mut job.emit)?.evaluator, true);
    }
    outputs.draw_findings(val)
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
        memory: memory::in_use(numerics::device()),
        images_per_second: trained.images_per_second,
        seconds: started.elapsed().as_secs_f64(),
        best,
    }
}
