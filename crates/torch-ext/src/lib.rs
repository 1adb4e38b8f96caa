//! The part of libtorch that tch does not bind: the global flags that decide which kernels run,
//! checkpointing (`checkpoint`), mixed precision (`autocast`), an operation that keeps less for
//! backward (`norm_silu`), what tensors take (`memory`), and the part for CUDA, opened while the
//! program runs (`late`).
//!
//! This is the project's only C++. Which flags a run wants is the trainer's business.
//! The flags are global to the process: set them at start, before the first operation, and on a
//! CUDA image after the CUDA backend was loaded.

mod autocast;
mod checkpoint;
mod late;
mod memory;
mod norm_silu;

use std::ffi::{CStr, c_char};

pub use autocast::{Precision, autocast};
pub use checkpoint::{Pass, checkpoint};
pub use late::{load, open_library};
pub use memory::{Counted, Counter, GpuMemory, forget_gpu_peak, gpu_memory};
pub use norm_silu::{Norm, norm_silu};

// For its linking: the shim calls into the libraries that torch-sys finds.
use torch_sys as _;

/// What libtorch threw.
#[derive(Debug, thiserror::Error)]
#[error("libtorch refused: {0}")]
pub struct TorchError(String);

impl TorchError {
    /// Its words alone.
    pub fn reason(&self) -> &str {
        &self.0
    }
}

/// Which kernels `scaled_dot_product_attention` may use. With all off it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdpBackends {
    /// Fused flash kernels; on a CPU the tiled flash kernel.
    pub flash: bool,
    /// Tiled memory-efficient kernels (CUDA only).
    pub mem_efficient: bool,
    /// Plain matrix products and a softmax.
    pub math: bool,
}

/// The flags as libtorch has them now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// Operations without a deterministic kernel fail.
    pub deterministic: bool,
    pub sdp: SdpBackends,
    /// TF32 is allowed in cuDNN or cuBLAS.
    pub tf32: bool,
    /// cuBLAS may sum products of fp16 or bf16 in less than fp32.
    pub reduced_precision: bool,
    pub cudnn_benchmark: bool,
}

unsafe extern "C" {
    fn torch_ext_free(message: *mut c_char);
    fn torch_ext_set_deterministic(on: bool) -> *mut c_char;
    fn torch_ext_set_sdp_backends(flash: bool, mem_efficient: bool, math: bool) -> *mut c_char;
    fn torch_ext_set_tf32(allowed: bool) -> *mut c_char;
    fn torch_ext_set_reduced_precision(allowed: bool) -> *mut c_char;
    fn torch_ext_set_cudnn_benchmark(on: bool) -> *mut c_char;
    fn torch_ext_flags(flags: *mut [bool; 8]) -> *mut c_char;
}

/// Makes operations deterministic, and those that can't be fail (never merely warn). Fresh memory
/// is not filled, on or off.
pub fn set_deterministic(on: bool) -> Result<(), TorchError> {
    // SAFETY: takes a plain value; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_set_deterministic(on) })
}

/// Chooses the attention kernels; cuDNN's are always off.
pub fn set_sdp_backends(backends: SdpBackends) -> Result<(), TorchError> {
    let SdpBackends { flash, mem_efficient, math } = backends;
    // SAFETY: takes plain values; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_set_sdp_backends(flash, mem_efficient, math) })
}

/// Allows or forbids TF32 in cuDNN's convolutions and cuBLAS's matrix products.
pub fn set_tf32(allowed: bool) -> Result<(), TorchError> {
    // SAFETY: takes a plain value; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_set_tf32(allowed) })
}

/// Allows or forbids sums of products in fp16 and bf16 that cuBLAS splits or takes in less than fp32.
pub fn set_reduced_precision(allowed: bool) -> Result<(), TorchError> {
    // SAFETY: takes a plain value; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_set_reduced_precision(allowed) })
}

/// Whether cuDNN chooses algorithms by timing them, which makes results vary between runs.
pub fn set_cudnn_benchmark(on: bool) -> Result<(), TorchError> {
    // SAFETY: takes a plain value; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_set_cudnn_benchmark(on) })
}

/// Reads the flags back.
pub fn flags() -> Result<Flags, TorchError> {
    let mut raw = [false; 8];
    // SAFETY: the shim writes exactly eight bools into `raw`, which outlives the call.
    checked(unsafe { torch_ext_flags(&raw mut raw) })?;
    let [algorithms, as_errors, flash, mem_efficient, math, tf32, cudnn_benchmark, reduced] = raw;
    let sdp = SdpBackends { flash, mem_efficient, math };
    let deterministic = algorithms && as_errors;
    Ok(Flags { deterministic, sdp, tf32, reduced_precision: reduced, cudnn_benchmark })
}

/// Turns the shim's answer (NULL, or a message that we own) into a result.
fn checked(message: *mut c_char) -> Result<(), TorchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a non-NULL answer is a NUL-terminated string from strdup, freed once, below.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: as above; `text` is a copy, nothing refers to `message` any more.
    unsafe { torch_ext_free(message) };
    Err(TorchError(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the flags are global to the process.
    #[test]
    fn flags_read_back_as_set_and_act() {
        let only_math = SdpBackends { flash: false, mem_efficient: false, math: true };
        set_deterministic(true).unwrap();
        set_sdp_backends(only_math).unwrap();
        set_tf32(false).unwrap();
        set_reduced_precision(false).unwrap();
        set_cudnn_benchmark(false).unwrap();
        let expected = Flags {
            deterministic: true,
            sdp: only_math,
            tf32: false,
            reduced_precision: false,
            cudnn_benchmark: false,
        };
        assert_eq!(flags().unwrap(), expected);

        let x = tch::Tensor::ones([1, 1, 4, 8], (tch::Kind::Float, tch::Device::Cpu));
        let attend = || {
            let no_mask = None::<tch::Tensor>;
            tch::Tensor::f_scaled_dot_product_attention(
                &x, &x, &x, no_mask, 0.0, false, None, false,
            )
        };
        assert!(attend().is_ok());
        set_sdp_backends(SdpBackends { math: false, ..only_math }).unwrap();
        assert!(attend().is_err(), "no kernel is left");
    }
}
