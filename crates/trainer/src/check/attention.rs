//! The fused attention paths against the plain one: the same numbers, and what they take.

use serde::Serialize;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use torch_ext::Precision;
use ybox_spec::config::{AttentionPath, Compute, Numerics};

use super::taken::Taken;
use crate::device::On;
use crate::error::TrainerError;
use crate::model::{HEAD_DIM, attend};
use crate::numerics;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    on: On,
    /// Pictures
    #[arg(long, default_value_t = 8)]
    batch: i64,
    /// Tokens that attend to each other; 1600 at imgsz=640
    #[arg(long, default_value_t = 1600)]
    tokens: i64,
}

/// `[batch, heads, tokens, HEAD_DIM]`
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub batch: i64,
    pub heads: i64,
    pub tokens: i64,
}

/// A path in a number format against the plain path in fp32.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub path: &'static str,
    pub dtype: &'static str,
    /// Why it does not exist here; the rest is 0 then.
    pub lacking: Option<String>,
    /// The largest differences of the output, and of the gradients of q, k and v.
    pub output: f64,
    pub gradients: f64,
    /// The most bytes that forward and backward took beside their inputs.
    pub peak: u64,
}

const PATHS: [AttentionPath; 3] =
    [AttentionPath::Flash, AttentionPath::Efficient, AttentionPath::Safe];
const PRECISIONS: [Option<Precision>; 3] = [None, Some(Precision::Fp16), Some(Precision::Bf16)];

pub(super) fn run(args: &Args) -> Result<Value, TrainerError> {
    let attention = AttentionPath::Safe;
    let compute = Compute { attention, numerics: Numerics::Fast, ..Compute::default() };
    numerics::apply(&compute, args.on.device())?;
    let shape = Shape { batch: args.batch, heads: 4, tokens: args.tokens };
    let compared = compare(shape, args.on.device())?;
    Ok(json!({ "shape": [shape.batch, shape.heads, shape.tokens, HEAD_DIM], "paths": compared }))
}

/// Every path in every number format. On a CPU there is no efficient one, and the others are
/// compared in fp32, which is what they are for there.
pub fn compare(shape: Shape, device: Device) -> Result<Vec<Compared>, TrainerError> {
    let (paths, precisions) = match device {
        Device::Cpu => (&[AttentionPath::Flash, AttentionPath::Safe][..], &PRECISIONS[..1]),
        _ => (&PATHS[..], &PRECISIONS[..]),
    };
    let expected = measured(shape, (AttentionPath::Safe, Kind::Float), device)?;
    let mut found = Vec::new();
    for (kind, dtype) in precisions.iter().copied().map(numerics::number_format) {
        for &path in paths {
            found.push(one(shape, (path, kind, dtype), &expected, device)?);
        }
    }
    Ok(found)
}

fn one(
    shape: Shape,
    (path, kind, dtype): (AttentionPath, Kind, &'static str),
    expected: &Measured,
    device: Device,
) -> Result<Compared, TrainerError> {
    let none =
        Compared { path: path.name(), dtype, lacking: None, output: 0.0, gradients: 0.0, peak: 0 };
    numerics::choose_attention(path, device)?;
    if let Err(error) = numerics::try_kernel(path, kind) {
        return Ok(Compared { lacking: Some(error), ..none });
    }
    let measured = measured(shape, (path, kind), device)?;
    let difference =
        |a: &Tensor, b: &Tensor| (a.to_kind(Kind::Float) - b).abs().max().double_value(&[]);
    let gradients = measured.gradients.iter().zip(&expected.gradients);
    Ok(Compared {
        output: difference(&measured.output, &expected.output),
        gradients: gradients.map(|(a, b)| difference(a, b)).fold(0.0, f64::max),
        peak: measured.peak,
        ..none
    })
}

struct Measured {
    output: Tensor,
    gradients: [Tensor; 3],
    peak: u64,
}

fn measured(
    shape: Shape,
    (path, kind): (AttentionPath, Kind),
    device: Device,
) -> Result<Measured, TrainerError> {
    numerics::choose_attention(path, device)?;
    let Shape { batch, heads, tokens } = shape;
    let waves = |step: f64| {
        let count = batch * heads * tokens * HEAD_DIM;
        let values = Tensor::arange(count, (Kind::Double, device)) * step;
        (values.sin() * 2).view([batch, heads, tokens, HEAD_DIM]).to_kind(kind)
    };
    let qkv = [0.37, 0.73, 1.31].map(|step| waves(step).set_requires_grad(true));
    let upstream = waves(0.91);
    let taken = Taken::begin(device)?;
    let output = attend(&qkv, path);
    (&output * &upstream).sum(Kind::Float).backward();
    let peak = taken.peak()?;
    let output = output.detach().to_kind(Kind::Float);
    Ok(Measured { output, gradients: qkv.map(|leaf| leaf.grad()), peak })
}
