//! Pinning what decides the bits of the arithmetic, before libtorch does any.

use std::arch::is_x86_feature_detected;

use tch::Device;
use torch_ext::{Precision, SdpBackends, autocast, set_deterministic, set_sdp_backends};
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Compute, Numerics};

use crate::error::TrainerError;

/// What makes convolutions (oneDNN), matrix products (MKL) and ATen's own kernels give the same
/// bits on any CPU with AVX2. AVX2 convolutions are not among them: oneDNN sizes their blocks by
/// the L2 cache. What MKL's vector functions need beside it is in `roots`.
const PORTABLE: [(&str, &str); 3] =
    [("ATEN_CPU_CAPABILITY", "avx2"), ("MKL_CBWR", "COMPATIBLE"), ("ONEDNN_MAX_CPU_ISA", "AVX")];

/// Applies `compute` to this process.
///
/// # Errors
/// On a CPU that can't keep the promise, and on an attention path that the device does not have.
pub fn apply(compute: &Compute) -> Result<(), TrainerError> {
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
    tch::set_num_threads(compute.threads as i32);
    tch::set_num_interop_threads(1);
    set_deterministic(true)?;
    choose_attention(compute.attention)
}

/// Allows exactly the kernels of `path`: another path is an error, never a fallback.
fn choose_attention(path: AttentionPath) -> Result<(), TrainerError> {
    let flash = match path {
        AttentionPath::Flash => true,
        // Written out in the model: no fused kernel has a part in it.
        AttentionPath::Safe => false,
        AttentionPath::Auto | AttentionPath::Efficient => {
            return Err(TrainerError::AttentionPath { path: path.name(), device: "the CPU" });
        }
    };
    Ok(set_sdp_backends(SdpBackends { flash, mem_efficient: false, math: false })?)
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

/// Where tensors live.
pub fn device() -> Device {
    Device::Cpu
}
