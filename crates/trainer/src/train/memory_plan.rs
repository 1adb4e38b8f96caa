//! `checkpointing=auto`: what a step needs under each policy is measured on two small batches,
//! predicted for the batch of the run, and compared with what there is. The training itself is not
//! touched by it: its bits are those of the policy that is named.

use ybox_spec::config::{AutoCheckpointing, Checkpointing, Config, TrainConfig};
use ybox_spec::events::Event;
use ybox_spec::memory::{MemoryPlan, MemorySize, PlannedPolicy};
use ybox_spec::shortage;

use super::measuring::{MEASURED, Needs, Unmeasured, measure_apart};
use crate::error::TrainerError;
use crate::job::Job;
use crate::{memory, numerics};

/// Share of the memory there is that a plan uses: trainings have come to up to 8 % more than the
/// straight line predicts.
pub const USABLE: f64 = 0.9;

/// Settles which policy to train with, in `job`; says the plan where one had to be made.
pub fn settle(config: &TrainConfig, job: &mut Job) -> Result<Checkpointing, TrainerError> {
    let chosen = match job.checkpointing {
        AutoCheckpointing::Is(policy) => policy,
        AutoCheckpointing::Auto => choose(config, job)?,
    };
    // What is said of a later lack of memory is about this one.
    job.checkpointing = AutoCheckpointing::Is(chosen);
    Ok(chosen)
}

fn choose(config: &TrainConfig, job: &mut Job) -> Result<Checkpointing, TrainerError> {
    let measuring = "checkpointing=auto: measuring two small batches under each policy";
    job.emit.note("measuring-memory", measuring);
    let plan = plan(config, job)?;
    if !plan.fits() {
        job.emit.note("memory-short", short(&plan));
    }
    let chosen = plan.chosen;
    job.emit.say(Event::MemoryPlan(plan));
    Ok(chosen)
}

fn short(plan: &MemoryPlan) -> String {
    let available = MemorySize(plan.available);
    match plan.largest_batch() {
        0 => format!("no policy fits into {available}: take a smaller imgsz or more memory"),
        batch => {
            format!("no policy fits into {available} at batch={}: batch={batch} would", plan.batch)
        }
    }
}

fn plan(config: &TrainConfig, job: &mut Job) -> Result<MemoryPlan, TrainerError> {
    let available = memory::available(job.memory, numerics::device());
    let available = (available as f64 * USABLE) as u64;
    let mut policies = Vec::new();
    for policy in Checkpointing::ALL {
        match predict(config, job, policy) {
            Ok(planned) => policies.push(planned),
            // One that needs less may fit.
            Err(Unmeasured::OutOfMemory(reason)) if policy != Checkpointing::LayerHead => {
                let message = format!(
                    "checkpointing={} is not taken: measuring it ran out of memory ({reason})",
                    policy.name()
                );
                job.emit.note("memory-not-measured", message);
            }
            Err(error) => return Err(error.error(policy, advice(config, policy))),
        }
    }
    Ok(MemoryPlan::new(config.batch, available, policies))
}

/// What needs less than `policy`.
pub fn advice(config: &TrainConfig, policy: Checkpointing) -> String {
    shortage::advice(&Config::Train(config.clone()), AutoCheckpointing::Is(policy))
}

fn predict(
    config: &TrainConfig,
    job: &Job,
    policy: Checkpointing,
) -> Result<PlannedPolicy, Unmeasured> {
    let batch = config.batch;
    if batch <= MEASURED[1] {
        let peak = measure_apart(&job.config, policy, batch)?;
        return Ok(PlannedPolicy { policy, peak, per_picture: peak / u64::from(batch) });
    }
    let needs = Needs::measure(&job.config, policy)?;
    Ok(PlannedPolicy { policy, peak: needs.peak(batch), per_picture: needs.per_picture })
}
