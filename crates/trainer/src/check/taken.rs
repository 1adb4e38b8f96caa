//! What work takes of a device's memory.

use tch::Device;
use torch_ext::{Counter, forget_gpu_peak, gpu_memory};

use crate::error::TrainerError;

/// Counts from where it begins.
pub enum Taken {
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
