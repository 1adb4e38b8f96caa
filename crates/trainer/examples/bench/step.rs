//! Training steps: their peak memory above the model itself, and their time.

use std::path::PathBuf;

use serde_json::json;
use tch::{Device, Kind, Tensor};
use ybox_spec::config::{AttentionPath, Checkpointing, TrainConfig};
use ybox_spec::dataset::DataSet;
use ytrain::data::{Batch, Loader};
use ytrain::loss::{Assigner, DetectionLoss, Gains, Targets};
use ytrain::model::{Mode, ModelSpec, Yolo12};
use ytrain::numerics;
use ytrain::optim::schedule::Extent;
use ytrain::optim::{Algorithm, Optimizer, Schedule};
use ytrain::train::parameters;

use crate::data::train_split;
use crate::{Outcome, process};

/// Memory and time of a training step
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Description of the data set
    data: PathBuf,
    #[arg(long, default_value = "yolo12n")]
    model: String,
    #[arg(long, default_value_t = 640)]
    imgsz: u32,
    #[arg(long, default_value_t = 16)]
    batch: u32,
    #[arg(long, default_value = "none")]
    checkpointing: Checkpointing,
    /// What forward computes in: off, bf16 or fp16
    #[arg(long, default_value = "off")]
    amp: String,
    /// Steps that are timed, after one that is not
    #[arg(long, default_value_t = 2)]
    steps: usize,
    #[arg(long, default_value_t = 2)]
    threads: u32,
}

pub fn run(args: &Args) -> Outcome {
    process::fast(args.threads)?;
    let set = DataSet::open(&args.data)?;
    let classes = set.names().len();
    let config = TrainConfig { imgsz: args.imgsz, batch: args.batch, ..TrainConfig::default() };
    let loader = Loader::new(train_split(&set, args.imgsz, 0, None)?, &config, 1);
    let batch = loader.epoch(0)?.next().ok_or("the data set is empty")??;
    let spec = ModelSpec::parse(&args.model, classes as i64)?;
    let model = Yolo12::new(spec, AttentionPath::Flash, Device::Cpu)?;
    let model = model.with_checkpointing(args.checkpointing);
    model.init(0);

    let [before, _] = process::resident_and_peak();
    process::forget_peak()?;
    let loss = DetectionLoss::new(classes, Gains::default(), Assigner::default());
    let mut optimizer = Optimizer::new(Algorithm::AdamW, parameters(&model));
    let extent = Extent { images: 1000, batches: 100, classes: classes as u32 };
    let rates = Schedule::new(&config, extent).at(0, 0);
    let precision = numerics::precision(serde_yaml::from_str(&args.amp)?)?;
    let forward = |images: &Tensor| {
        numerics::in_precision(precision, || model.forward(images, Mode::Train))
            .expect("a CPU has autocast")
    };
    let mut first_peak = None;
    let step_ms = process::median_ms(1, args.steps, || {
        let raw = forward(&images(&batch));
        loss.compute(&raw, &targets(&batch)).total.backward();
        let norm = optimizer.gradient_norm().double_value(&[]) as f32;
        optimizer.clip_gradients(norm, config.max_grad_norm);
        optimizer.step(&rates);
        optimizer.zero_grad();
        first_peak.get_or_insert_with(|| process::resident_and_peak()[1] - before);
    });
    let [_, peak] = process::resident_and_peak();
    let figures = json!({
        "first_peak_mib": first_peak,
        "peak_mib": peak - before,
        "step_ms": step_ms,
    });
    println!("{figures}");
    Ok(())
}

fn images(batch: &Batch) -> Tensor {
    let [width, height] = batch.size.sides().map(i64::from);
    let pixels = Tensor::from_slice(&batch.pixels).view([-1, 3, height, width]);
    let pixels = pixels.permute([0, 2, 3, 1]).contiguous().to_kind(Kind::Float);
    (pixels / 255.0).permute([0, 3, 1, 2])
}

fn targets(batch: &Batch) -> Targets {
    let of = |value: fn(&ytrain::data::Target) -> i64| {
        Tensor::from_slice(&batch.targets.iter().map(value).collect::<Vec<_>>())
    };
    let boxes: Vec<f32> = batch.targets.iter().flat_map(|t| t.bbox).collect();
    Targets {
        batch_idx: of(|t| t.image as i64),
        cls: of(|t| i64::from(t.class)),
        boxes: Tensor::from_slice(&boxes).view([-1, 4]),
    }
}
