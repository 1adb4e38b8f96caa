//! What a training step needs, measured on small batches, each in a process of its own whose memory
//! is not yet used by anything else. What follows from it is `memory_plan`'s and `batch`'s.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tch::{Device, Kind, Tensor};
use ybox_spec::config::{Checkpointing, TrainConfig};
use ybox_spec::exit;

use crate::error::TrainerError;
use crate::loss::{Assigner, DetectionLoss, Gains, Targets};
use crate::model::{Mode, ModelSpec, Yolo12};
use crate::{device, memory, numerics};

/// Batches that are measured.
pub const MEASURED: [u32; 2] = [2, 4];
/// Objects in each picture that is measured with.
const OBJECTS: i64 = 16;
/// What a training holds beside a step, as a multiple of its weights: the moving average and the
/// model it is measured with, AdamW's two moments, a healthy state (weights, average, moments), and
/// as much again while a checkpoint is written.
const STATE_OF_WEIGHTS: u64 = 12;
/// The same on a GPU, which holds neither healthy states nor checkpoints; the fifth are the weights
/// themselves, which are there before the step is measured.
const STATE_ON_GPU: u64 = 5;

/// Bytes that a training takes: some whatever the batch, and some for each of its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    pub fixed: u64,
    pub per_picture: u64,
}

impl Needs {
    /// A line through both measured batches. `config`: its file.
    pub fn measure(config: &Path, policy: Checkpointing) -> Result<Self, Unmeasured> {
        let [small, large] = MEASURED;
        let at_small = measure_apart(config, policy, small)?;
        let at_large = measure_apart(config, policy, large)?;
        let per_picture = at_large.saturating_sub(at_small) / u64::from(large - small);
        let fixed = at_large.saturating_sub(per_picture * u64::from(large));
        Ok(Self { fixed, per_picture })
    }

    pub fn peak(&self, batch: u32) -> u64 {
        self.fixed + self.per_picture * u64::from(batch)
    }
}

/// Why a step could not be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmeasured {
    /// There is not even memory for a small batch.
    OutOfMemory(String),
    Failed(String),
}

impl Unmeasured {
    /// As the end of a task; `advice` is what to do about a lack of memory.
    pub fn error(self, policy: Checkpointing, advice: String) -> TrainerError {
        let policy = policy.name();
        match self {
            Self::OutOfMemory(reason) => TrainerError::NoRoom { policy, reason, advice },
            Self::Failed(reason) => TrainerError::NotMeasured { policy, reason },
        }
    }
}

/// Peak bytes of a training with batches of `batch`, measured by this program in another process.
pub fn measure_apart(config: &Path, policy: Checkpointing, batch: u32) -> Result<u64, Unmeasured> {
    let failed = |error: std::io::Error| Unmeasured::Failed(error.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    let output = Command::new(program)
        .arg("measure")
        .arg(config)
        .args([policy.name(), &batch.to_string()])
        .args(["--device", &device::name(numerics::device())])
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    read(&output)
}

/// What a measurement said, and how it ended.
fn read(output: &Output) -> Result<u64, Unmeasured> {
    const KILL: i32 = 9;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.is_empty() && !line.starts_with("note: "));
    let reason = last.map(|line| line.trim_start_matches("error: ").to_owned());
    let reason = reason.unwrap_or_else(|| output.status.to_string());
    // What a Rust program says before it aborts.
    let aborted = errors.contains("memory allocation of ");
    if output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return said.trim().parse().map_err(|_| Unmeasured::Failed(format!("it said `{said}`")));
    }
    if output.status.signal() == Some(KILL) {
        let reason = "it was killed, most likely because memory ran out";
        return Err(Unmeasured::OutOfMemory(reason.into()));
    }
    match output.status.code() == Some(i32::from(exit::OUT_OF_MEMORY)) || aborted {
        true => Err(Unmeasured::OutOfMemory(reason)),
        false => Err(Unmeasured::Failed(reason)),
    }
}

/// Peak bytes that two steps on made-up pictures add to this process, and what a training holds
/// beside them.
pub fn measure(
    config: &TrainConfig,
    policy: Checkpointing,
    device: Device,
) -> Result<u64, TrainerError> {
    numerics::apply(&config.compute, device)?;
    let classes = config.names.len();
    let spec = ModelSpec::parse(&config.model, classes as i64)?.with_residual_scaling();
    let model = Yolo12::new(spec, config.compute.attention, numerics::device())?;
    // Its weights stay zero: their values take no memory, and drawing them takes time.
    let model = model.with_checkpointing(policy);
    let state: u64 = model.state_dict().iter().map(|(_, t)| t.numel() as u64 * 4).sum();
    let before = memory::held_bytes(device);
    let side = largest_side(config);
    let loss = DetectionLoss::new(classes, Gains::default(), Assigner::default());
    let precision = numerics::precision(config.amp)?;
    for _ in 0..2 {
        let images = pictures(config.batch.into(), side);
        let raw = numerics::in_precision(precision, || model.forward(&images, Mode::Train))?;
        loss.compute(&raw, &objects(config.batch.into())).total.backward();
    }
    let step = memory::peak_bytes(device).saturating_sub(before);
    let multiple = if device.is_cuda() { STATE_ON_GPU } else { STATE_OF_WEIGHTS };
    Ok(step + multiple * state)
}

/// Side of the largest pictures that `multi_scale` makes; rectangles lie within that square.
fn largest_side(config: &TrainConfig) -> i64 {
    let side = f64::from(config.imgsz) * (1.0 + config.multi_scale);
    (side / 32.0).ceil() as i64 * 32
}

/// Made-up ones.
pub fn pictures(batch: i64, side: i64) -> Tensor {
    let options = (Kind::Float, numerics::device());
    let values = Tensor::arange(batch * side * side * 3, options) * 0.37;
    (values.sin() / 2 + 0.5).view([batch, side, side, 3]).permute([0, 3, 1, 2])
}

/// Made-up ones.
pub fn objects(batch: i64) -> Targets {
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

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    /// `wait`: the status as the kernel gives it, 256 for an exit status of 1.
    fn ended(wait: i32, stdout: &str, stderr: &str) -> Result<u64, Unmeasured> {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        read(&Output { status: ExitStatus::from_raw(wait), stdout, stderr })
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        assert_eq!(ended(0, "4096\n", "a warning"), Ok(4096));
        for short in [
            ended(3 << 8, "", "error: out of memory in training\n"),
            ended(9, "", ""),
            ended(6, "", "memory allocation of 800 bytes failed\n"),
        ] {
            assert!(matches!(short, Err(Unmeasured::OutOfMemory(_))), "{short:?}");
        }
        let panicked = "thread 'main' panicked at x.rs:1:\nno kernel\nnote: run with `RUST_BACK\n";
        for (wait, stderr, reason) in [
            (1 << 8, "error: no AVX2\n", "no AVX2"),
            (101 << 8, panicked, "no kernel"),
            (11, "", "signal: 11 (SIGSEGV)"),
        ] {
            assert_eq!(ended(wait, "", stderr), Err(Unmeasured::Failed(reason.into())));
        }
        assert!(matches!(ended(0, "many", ""), Err(Unmeasured::Failed(_))));
    }
}
