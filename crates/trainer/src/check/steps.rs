//! A few steps of training on made-up pictures, as a run takes them but for its data.

use std::time::Instant;

use serde_json::{Value, json};
use torch_ext::{Precision, gpu_memory};
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Checkpointing, Compute, Numerics};

use super::taken::Taken;
use crate::device::{self, On};
use crate::error::TrainerError;
use crate::loss::{Assigner, DetectionLoss, Gains};
use crate::model::{Mode, ModelSpec, Yolo12};
use crate::optim::{Algorithm, Ema, GradScaler, Optimizer, Rates};
use crate::train::{backward, objects, parameters, pictures, unscale};
use crate::{numerics, weights};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    on: On,
    #[arg(long, default_value = "yolov12n")]
    model: String,
    #[arg(long, default_value_t = 16)]
    batch: u32,
    #[arg(long, default_value_t = 640)]
    imgsz: u32,
    #[arg(long, default_value_t = 50)]
    steps: u32,
    #[arg(long, default_value = "none")]
    checkpointing: Checkpointing,
    /// flash, efficient or safe
    #[arg(long, default_value = "flash", value_parser = yaml::<AttentionPath>)]
    attention: AttentionPath,
    /// off, bf16 or fp16
    #[arg(long, default_value = "off", value_parser = yaml::<Amp>)]
    amp: Amp,
}

/// A word as the config has it.
fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

/// Steps that speed is not measured on.
const WARM: u32 = 3;
const CLASSES: usize = 80;
const RATES: Rates = Rates { lr: [1e-4; 3], momentum: 0.9, weight_decay: 5e-4, accumulate: 1 };

pub(super) fn run(args: &Args) -> Result<Value, TrainerError> {
    let (attention, numerics) = (args.attention, Numerics::Fast);
    numerics::apply(&Compute { attention, numerics, ..Compute::default() }, args.on.device())?;
    let precision = numerics::precision(args.amp)?;
    numerics::try_attention(attention, precision)?;
    let taken = Taken::begin(args.on.device())?;
    let mut session = Session::new(args, precision)?;
    let (mut saved, mut loss, mut rate, mut started) = (0, 0.0, None, Instant::now());
    for step in 0..args.steps {
        if step == WARM {
            started = Instant::now();
        }
        (saved, loss) = session.step(&taken)?;
        let done = (step + 1).saturating_sub(WARM) * args.batch;
        rate = (done > 0).then(|| f64::from(done) / started.elapsed().as_secs_f64());
    }
    Ok(json!({
        "device": device::name(args.on.device()),
        "model": args.model,
        "batch": args.batch,
        "imgsz": args.imgsz,
        "steps": args.steps,
        "checkpointing": args.checkpointing.name(),
        "attention": attention.name(),
        "amp": args.amp.name(),
        "loss": loss,
        "digest": weights::digest(&session.model.state_dict())?.to_string(),
        "images_per_second": rate,
        "saved": saved,
        "peak": taken.peak()?,
        "process": process_bytes(args)?,
    }))
}

/// What the whole process took of a GPU, context and all, if no other one took any meanwhile.
fn process_bytes(args: &Args) -> Result<Option<u64>, TrainerError> {
    match args.on.device() {
        tch::Device::Cuda(index) => {
            let gpu = gpu_memory(index)?;
            Ok(Some(gpu.total - gpu.free))
        }
        _ => Ok(None),
    }
}

/// As much of a training as decides about memory, speed and bits.
struct Session {
    model: Yolo12,
    loss: DetectionLoss,
    optimizer: Optimizer,
    ema: Ema,
    scaler: Option<GradScaler>,
    batch: (i64, i64),
    precision: Option<Precision>,
}

impl Session {
    fn new(args: &Args, precision: Option<Precision>) -> Result<Self, TrainerError> {
        let spec = ModelSpec::parse(&args.model, CLASSES as i64)?.with_residual_scaling();
        let model = Yolo12::new(spec, args.attention, numerics::device())?;
        let model = model.with_checkpointing(args.checkpointing);
        model.init(0);
        Ok(Self {
            optimizer: Optimizer::new(Algorithm::AdamW, parameters(&model)),
            ema: Ema::new(&model.state_dict(), 0.999, 2000.0),
            loss: DetectionLoss::new(CLASSES, Gains::default(), Assigner::default()),
            scaler: (precision == Some(Precision::Fp16)).then(GradScaler::default),
            batch: (args.batch.into(), args.imgsz.into()),
            precision,
            model,
        })
    }

    /// What forward kept for backward, and the loss, whose reading waits for the device.
    fn step(&mut self, taken: &Taken) -> Result<(u64, f64), TrainerError> {
        let (count, side) = self.batch;
        let images = pictures(count, side);
        let before = taken.held()?;
        let forward = || self.model.forward(&images, Mode::Train);
        let raw = numerics::in_precision(self.precision, forward)?;
        let saved = taken.held()? - before;
        let loss = self.loss.compute(&raw, &objects(count)).total;
        backward(self.scaler.as_ref(), &loss);
        unscale(self.scaler.as_ref(), &mut self.optimizer);
        let norm = self.optimizer.gradient_norm().double_value(&[]) as f32;
        if norm.is_finite() {
            self.optimizer.clip_gradients(norm, 10.0);
            self.optimizer.step(&RATES);
            self.scaler.iter_mut().for_each(GradScaler::grow);
            self.ema.update();
        } else if let Some(scaler) = &mut self.scaler {
            let _ = scaler.back_off();
        }
        self.optimizer.zero_grad();
        Ok((saved.max(0) as u64, loss.double_value(&[])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_config() {
        assert_eq!(yaml::<Amp>("bf16"), Ok(Amp::Bf16));
        assert_eq!(yaml::<AttentionPath>("safe"), Ok(AttentionPath::Safe));
        assert!(yaml::<Amp>("fp8").is_err());
    }
}
