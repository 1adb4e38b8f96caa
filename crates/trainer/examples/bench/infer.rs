//! Inference of one picture: the network and the decoding of its boxes, without suppression.

use serde_json::json;
use tch::{Device, Kind, Tensor, no_grad};
use ybox_spec::config::AttentionPath;
use ytrain::model::{Mode, ModelSpec, STRIDES, Yolo12, decode};

use crate::{Outcome, process};

/// Milliseconds per picture
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value = "yolo12n")]
    model: String,
    #[arg(long, default_value_t = 640)]
    imgsz: i64,
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Pictures that are timed
    #[arg(long, default_value_t = 30)]
    count: usize,
}

pub fn run(args: &Args) -> Outcome {
    process::fast(args.threads)?;
    let spec = ModelSpec::parse(&args.model, 80)?;
    let model = Yolo12::new(spec, AttentionPath::Flash, Device::Cpu)?;
    model.init(0);
    let pixels = Tensor::rand([1, args.imgsz, args.imgsz, 3], (Kind::Float, Device::Cpu));
    let image = pixels.permute([0, 3, 1, 2]);
    let median_ms = process::median_ms(5, args.count, || {
        let _ = no_grad(|| decode(&model.forward(&image, Mode::Eval), STRIDES));
    });
    println!("{}", json!({ "median_ms": median_ms }));
    Ok(())
}
