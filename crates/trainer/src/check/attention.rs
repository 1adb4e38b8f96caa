//! The fused attention paths against the plain one: the same numbers, and what they take.

use serde::Serialize;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use torch_ext::{Counter, SdpBackends, forget_gpu_peak, gpu_memory, set_sdp_backends};
use ybox_spec::config::{AttentionPath, Compute, Numerics};

use crate::device::DeviceArg;
use crate::error::TrainerError;
use crate::model::{HEAD_DIM, attend};
use crate::numerics;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceArg,
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
const KINDS: [(Kind, &str); 3] =
    [(Kind::Float, "fp32"), (Kind::Half, "fp16"), (Kind::BFloat16, "bf16")];

pub(super) fn run(args: &Args) -> Result<Value, TrainerError> {
    let attention = AttentionPath::Safe;
    let compute = Compute { attention, numerics: Numerics::Fast, ..Compute::default() };
    numerics::apply(&compute, args.device.0)?;
    let shape = Shape { batch: args.batch, heads: 4, tokens: args.tokens };
    let compared = compare(shape, args.device.0)?;
    Ok(json!({ "shape": [shape.batch, shape.heads, shape.tokens, HEAD_DIM], "paths": compared }))
}

/// Every path in every number format. On a CPU there is no efficient one, and the others are
/// compared in fp32, which is what they are for there.
pub fn compare(shape: Shape, device: Device) -> Result<Vec<Compared>, TrainerError> {
    let (paths, kinds) = match device {
        Device::Cpu => (&[AttentionPath::Flash, AttentionPath::Safe][..], &KINDS[..1]),
        _ => (&PATHS[..], &KINDS[..]),
    };
    let expected = measured(shape, (AttentionPath::Safe, Kind::Float), device)?;
    let mut found = Vec::new();
    for &(kind, dtype) in kinds {
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
    choose(path)?;
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

fn choose(path: AttentionPath) -> Result<(), TrainerError> {
    let (flash, mem_efficient) = (path == AttentionPath::Flash, path == AttentionPath::Efficient);
    Ok(set_sdp_backends(SdpBackends { flash, mem_efficient, math: false })?)
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
    choose(path)?;
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

/// What work takes of a device, from here on.
pub(super) enum Taken {
    Cpu(Counter),
    Gpu { index: usize, before: u64 },
}

impl Taken {
    pub fn begin(device: Device) -> Result<Self, TrainerError> {
        match device {
            Device::Cuda(index) => {
                forget_gpu_peak(index)?;
                Ok(Self::Gpu { index, before: gpu_memory(index)?.allocated })
            }
            _ => Ok(Self::Cpu(Counter::begin()?)),
        }
    }

    /// Bytes of tensors that are held now beside those of before.
    pub fn held(&self) -> Result<i64, TrainerError> {
        match self {
            Self::Cpu(counter) => Ok(counter.read()?.held),
            Self::Gpu { index, before } => {
                Ok(gpu_memory(*index)?.allocated as i64 - *before as i64)
            }
        }
    }

    /// The most bytes of tensors at a time.
    pub fn peak(&self) -> Result<u64, TrainerError> {
        match self {
            Self::Cpu(counter) => Ok(counter.read()?.peak.max(0) as u64),
            Self::Gpu { index, before } => {
                Ok(gpu_memory(*index)?.peak_allocated.saturating_sub(*before))
            }
        }
    }
}
