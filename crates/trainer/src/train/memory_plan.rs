//! `checkpointing=auto`: what a step needs under each policy is measured on two small batches, each
//! in a process of its own, predicted for the batch of the run, and compared with what there is.
//! The training itself is not touched by it: its bits are those of the policy that is named.

use std::process::{Command, Stdio};

use tch::{Kind, Tensor};
use ybox_spec::config::{AutoCheckpointing, Checkpointing, TrainConfig};
use ybox_spec::events::Event;
use ybox_spec::memory::{MemoryPlan, MemorySize, PlannedPolicy};

use crate::error::TrainerError;
use crate::job::Job;
use crate::loss::{Assigner, DetectionLoss, Gains, Targets};
use crate::model::{Mode, ModelSpec, Yolo12};
use crate::{memory, numerics};

/// Batches that are measured, where the run's is larger.
const MEASURED: [u32; 2] = [2, 4];
/// Objects in each picture that is measured with.
const OBJECTS: i64 = 16;
/// What a training holds beside a step, as a multiple of its weights: the moving average and the
/// model it is measured with, AdamW's two moments, a healthy state (weights, average, moments), and
/// as much again while a checkpoint is written.
const STATE_OF_WEIGHTS: u64 = 12;
/// Share of the memory there is that a plan uses: trainings have come to up to 8 % more than the
/// straight line predicts.
const USABLE: f64 = 0.9;

/// The policy to train with; says the plan where one had to be made.
pub fn settle(config: &TrainConfig, job: &mut Job) -> Result<Checkpointing, TrainerError> {
    match job.checkpointing {
        AutoCheckpointing::Is(policy) => Ok(policy),
        AutoCheckpointing::Auto => {
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
    }
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
    let there_is = memory::available_bytes();
    let capped = job.memory.map(|cap| cap.0.saturating_sub(memory::resident_bytes()));
    let available = (capped.map_or(there_is, |cap| cap.min(there_is)) as f64 * USABLE) as u64;
    let mut policies = Vec::new();
    for policy in Checkpointing::ALL {
        match predict(config, job, policy) {
            Ok(planned) => policies.push(planned),
            // Most likely there is not even memory to measure it: a policy that needs less may fit.
            Err(error) if policy != Checkpointing::LayerHead => {
                job.emit.note("memory-not-measured", format!("{error}; it is not taken"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(MemoryPlan::new(config.batch, available, policies))
}

/// A line through the peaks of both batches.
fn predict(
    config: &TrainConfig,
    job: &Job,
    policy: Checkpointing,
) -> Result<PlannedPolicy, TrainerError> {
    let measured = |batch| measure_apart(job, policy, batch);
    let [small, large] = MEASURED;
    if config.batch <= large {
        let peak = measured(config.batch)?;
        return Ok(PlannedPolicy { policy, peak, per_picture: peak / u64::from(config.batch) });
    }
    let (at_small, at_large) = (measured(small)?, measured(large)?);
    let per_picture = at_large.saturating_sub(at_small) / u64::from(large - small);
    let peak = at_large + per_picture * u64::from(config.batch - large);
    Ok(PlannedPolicy { policy, peak, per_picture })
}

/// Peak bytes of a training with batches of `batch`, measured by this program in a process of its
/// own, whose memory is not yet used by anything else.
fn measure_apart(job: &Job, policy: Checkpointing, batch: u32) -> Result<u64, TrainerError> {
    let failed = |reason: String| TrainerError::NotMeasured { policy: policy.name(), reason };
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let output = Command::new(program)
        .arg("measure")
        .arg(&job.config)
        .args([policy.name(), &batch.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| {
        let why = String::from_utf8_lossy(&output.stderr);
        failed(why.lines().last().map_or_else(|| output.status.to_string(), str::to_owned))
    })
}

/// Peak bytes that two steps on made-up pictures add to this process, and what a training holds
/// beside them.
pub fn measure(
    config: &TrainConfig,
    policy: Checkpointing,
    batch: u32,
) -> Result<u64, TrainerError> {
    numerics::apply(&config.compute)?;
    let classes = config.names.len();
    let spec = ModelSpec::parse(&config.model, classes as i64)?.with_residual_scaling();
    let model = Yolo12::new(spec, config.compute.attention, numerics::device())?;
    // Its weights stay zero: their values take no memory, and drawing them takes time.
    let model = model.with_checkpointing(policy);
    let state: u64 = model.state_dict().iter().map(|(_, t)| t.numel() as u64 * 4).sum();
    let before = memory::resident_bytes();
    let side = largest_side(config);
    let loss = DetectionLoss::new(classes, Gains::default(), Assigner::default());
    let precision = numerics::precision(config.amp)?;
    for _ in 0..2 {
        let images = pictures(batch.into(), side);
        let raw = numerics::in_precision(precision, || model.forward(&images, Mode::Train))?;
        loss.compute(&raw, &objects(batch.into())).total.backward();
    }
    let step = memory::peak_bytes().saturating_sub(before);
    Ok(step + STATE_OF_WEIGHTS * state)
}

/// Side of the largest pictures that `multi_scale` makes.
fn largest_side(config: &TrainConfig) -> i64 {
    let side = f64::from(config.imgsz) * (1.0 + config.multi_scale);
    (side / 32.0).ceil() as i64 * 32
}

fn pictures(batch: i64, side: i64) -> Tensor {
    let options = (Kind::Float, numerics::device());
    let values = Tensor::arange(batch * side * side * 3, options) * 0.37;
    (values.sin() / 2 + 0.5).view([batch, side, side, 3]).permute([0, 3, 1, 2])
}

fn objects(batch: i64) -> Targets {
    let count = batch * OBJECTS;
    let device = numerics::device();
    let number = Tensor::arange(count, (Kind::Int64, device));
    let shares = Tensor::arange(count * 4, (Kind::Float, device)).sin().view([count, 4]);
    Targets {
        batch_idx: number.divide_scalar_mode(OBJECTS, "floor"),
        cls: number.zeros_like(),
        boxes: shares * 0.1 + 0.4,
    }
}
