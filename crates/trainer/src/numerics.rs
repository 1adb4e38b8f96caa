//! Pinning what decides the bits of the arithmetic, before libtorch does any.

use std::arch::is_x86_feature_detected;
use std::sync::OnceLock;
use std::time::Duration;

use tch::{Device, Kind, Tensor};
use torch_ext::{
    Precision, SdpBackends, autocast, set_cudnn_benchmark, set_deterministic,
    set_reduced_precision, set_sdp_backends, set_tf32,
};
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Compute, CublasWorkspace, Numerics};

use crate::cuda::{self, Gpu};
use crate::device;
use crate::error::TrainerError;
use crate::model::HEAD_DIM;

static DEVICE: OnceLock<Device> = OnceLock::new();

/// What makes convolutions (oneDNN), matrix products (MKL) and ATen's own kernels give the same
/// bits on any CPU with AVX2 and FMA. AVX2 convolutions are not among them: oneDNN sizes their blocks by
/// the L2 cache. What MKL's vector functions need beside it is in `roots`.
const PORTABLE: [(&str, &str); 3] =
    [("ATEN_CPU_CAPABILITY", "avx2"), ("MKL_CBWR", "COMPATIBLE"), ("ONEDNN_MAX_CPU_ISA", "AVX")];

/// Applies `compute` to this process, whose tensors live on `device`. Comes before anything else of
/// libtorch.
///
/// # Errors
/// Where the device is not there or can't keep the promise, and on an attention path that it does
/// not have.
pub fn apply(compute: &Compute, device: Device) -> Result<(), TrainerError> {
    if device.is_cuda() && compute.numerics == Numerics::Portable {
        return Err(TrainerError::PortableOnGpu);
    }
    if compute.numerics == Numerics::Portable {
        // The C library chooses by FMA.
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return Err(TrainerError::NotPortable);
        }
        for (name, value) in PORTABLE {
            // SAFETY: no other thread runs yet that could read the environment: this is called
            // before the loader starts and before the first libtorch call.
            unsafe { std::env::set_var(name, value) };
        }
    }
    use_device(device, compute.cublas_workspace)?;
    tch::set_num_threads(compute.threads as i32);
    tch::set_num_interop_threads(1);
    set_deterministic(true)?;
    if device.is_cuda() {
        set_cudnn_benchmark(false)?;
        set_tf32(false)?;
        set_reduced_precision(false)?;
    }
    choose_attention(compute.attention, device)
}

/// Makes `device` the one that tensors live on, once.
pub fn use_device(device: Device, workspace: CublasWorkspace) -> Result<(), TrainerError> {
    match device {
        Device::Cuda(index) => use_gpu(index, cuda::PATIENCE, workspace).map(drop),
        _ => {
            settle(device);
            Ok(())
        }
    }
}

/// The same for GPU `index`, whose driver may take `patience` to answer; gives what it says.
pub fn use_gpu(
    index: usize,
    patience: Duration,
    workspace: CublasWorkspace,
) -> Result<Gpu, TrainerError> {
    let gpu = cuda::prepare(index, patience, workspace)?;
    settle(Device::Cuda(index));
    Ok(gpu)
}

fn settle(device: Device) {
    let used = DEVICE.get_or_init(|| device);
    assert_eq!(*used, device, "a process has one device");
}

/// Allows exactly the kernels of `path`: another path is an error, never a fallback.
pub fn choose_attention(path: AttentionPath, device: Device) -> Result<(), TrainerError> {
    let (flash, mem_efficient) = match path {
        AttentionPath::Flash => (true, false),
        AttentionPath::Efficient if device.is_cuda() => (false, true),
        // Written out in the model: no fused kernel has a part in it.
        AttentionPath::Safe => (false, false),
        AttentionPath::Auto | AttentionPath::Efficient => {
            let device = device::name(device);
            return Err(TrainerError::AttentionPath { path: path.name(), device });
        }
    };
    Ok(set_sdp_backends(SdpBackends { flash, mem_efficient, math: false })?)
}

/// Tries the kernels that were chosen, so that a lack of them is told before a model is built: a GPU
/// has flash kernels from compute capability 8.0 on and for fp16 and bf16 only.
///
/// # Errors
/// Where the device has none for `path` in `precision`.
pub fn try_attention(
    path: AttentionPath,
    precision: Option<Precision>,
) -> Result<(), TrainerError> {
    let (kind, dtype) = number_format(precision);
    try_kernel(path, kind).map_err(|reason| TrainerError::AttentionKernel {
        path: path.name(),
        dtype,
        device: device::name(device()),
        reason,
    })
}

/// What a forward pass in `precision` computes in, with its name.
pub fn number_format(precision: Option<Precision>) -> (Kind, &'static str) {
    match precision {
        None => (Kind::Float, "fp32"),
        Some(Precision::Fp16) => (Kind::Half, "fp16"),
        Some(Precision::Bf16) => (Kind::BFloat16, "bf16"),
    }
}

/// Runs the kernel of `path` on a few numbers; the reason where there is none.
pub fn try_kernel(path: AttentionPath, kind: Kind) -> Result<(), String> {
    if path == AttentionPath::Safe {
        return Ok(());
    }
    let attended = Tensor::f_zeros([1, 1, 16, HEAD_DIM], (kind, device())).and_then(|q| {
        let no_mask = None::<&Tensor>;
        Tensor::f_scaled_dot_product_attention(&q, &q, &q, no_mask, 0.0, false, None, false)
    });
    // libtorch says the reason first and then where it was.
    let reason = |e: tch::TchError| e.to_string().lines().next().unwrap_or_default().to_owned();
    attended.map(|_| ()).map_err(reason)
}

/// What a training's forward pass is cast to, if to anything.
///
/// # Errors
/// When the config leaves it open.
pub fn precision(amp: Amp) -> Result<Option<Precision>, TrainerError> {
    match amp {
        Amp::Off => Ok(None),
        Amp::Bf16 => Ok(Some(Precision::Bf16)),
        Amp::Fp16 => Ok(Some(Precision::Fp16)),
        Amp::Auto => Err(TrainerError::AmpOpen),
    }
}

/// Runs `work` under autocast of `precision`, if there is one.
pub fn in_precision<T>(
    precision: Option<Precision>,
    work: impl FnOnce() -> T,
) -> Result<T, TrainerError> {
    match precision {
        Some(precision) => Ok(autocast(device(), precision, work)?),
        None => Ok(work()),
    }
}

/// What validation in a training is cast to. A GPU's flash kernels have no fp32, so that there it
/// runs in what the training runs in; on a CPU it is always fp32.
pub fn evaluation_precision(amp: Amp) -> Result<Option<Precision>, TrainerError> {
    if device().is_cuda() { precision(amp) } else { Ok(None) }
}

/// Where tensors live: the CPU unless `use_device` said otherwise.
pub fn device() -> Device {
    DEVICE.get().copied().unwrap_or(Device::Cpu)
}
