//! What tensors take: of a piece of work on the CPU, and of a GPU.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::ptr;

use super::{TorchError, checked};

unsafe extern "C" {
    fn torch_ext_count_begin(counter: *mut *mut c_void) -> *mut c_char;
    fn torch_ext_count_read(counter: *mut c_void, current: *mut i64, peak: *mut i64)
    -> *mut c_char;
    fn torch_ext_count_end(counter: *mut c_void) -> *mut c_char;
    fn torch_ext_gpu_memory(index: i8, bytes: *mut [u64; 5]) -> *mut c_char;
    fn torch_ext_gpu_forget_peak(index: i8) -> *mut c_char;
}

/// Counts the bytes of CPU tensors that this thread allocates while it lives.
#[derive(Debug)]
pub struct Counter {
    counter: *mut c_void,
    /// It counts in the thread that made it only.
    _here: PhantomData<*const ()>,
}

/// Bytes of tensors, relative to when counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// What is held now.
    pub held: i64,
    /// The most that was held at a time.
    pub peak: i64,
}

impl Counter {
    pub fn begin() -> Result<Self, TorchError> {
        let mut counter = ptr::null_mut();
        // SAFETY: takes a place for one pointer.
        checked(unsafe { torch_ext_count_begin(&raw mut counter) })?;
        Ok(Self { counter, _here: PhantomData })
    }

    pub fn read(&self) -> Result<Counted, TorchError> {
        let (mut held, mut peak) = (0, 0);
        // SAFETY: `counter` is from `begin` and still there; the other two are places for a number.
        checked(unsafe { torch_ext_count_read(self.counter, &raw mut held, &raw mut peak) })?;
        Ok(Counted { held, peak })
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // SAFETY: from `begin`, given back once, in the same thread.
        let ended = checked(unsafe { torch_ext_count_end(self.counter) });
        debug_assert!(ended.is_ok(), "{ended:?}");
    }
}

/// Bytes of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuMemory {
    /// Held by tensors, now and at most so far.
    pub allocated: u64,
    pub peak_allocated: u64,
    /// The most that was taken from the driver for tensors.
    pub peak_reserved: u64,
    /// Of the device, for any process.
    pub free: u64,
    pub total: u64,
}

/// What libtorch's allocator holds on GPU `index`.
///
/// # Errors
/// When libtorch's CUDA part was not loaded or has used no device yet.
pub fn gpu_memory(index: usize) -> Result<GpuMemory, TorchError> {
    let mut bytes = [0; 5];
    let index = device_index(index)?;
    // SAFETY: the shim writes exactly five numbers into `bytes`, which outlives the call.
    checked(unsafe { torch_ext_gpu_memory(index, &raw mut bytes) })?;
    let [allocated, peak_allocated, peak_reserved, free, total] = bytes;
    Ok(GpuMemory { allocated, peak_allocated, peak_reserved, free, total })
}

/// Begins to count peaks of GPU `index` anew.
pub fn forget_gpu_peak(index: usize) -> Result<(), TorchError> {
    let index = device_index(index)?;
    // SAFETY: takes a plain value; the returned pointer goes straight to `checked`.
    checked(unsafe { torch_ext_gpu_forget_peak(index) })
}

fn device_index(index: usize) -> Result<i8, TorchError> {
    i8::try_from(index).map_err(|_| TorchError(format!("there is no GPU {index}")))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn counts_what_is_held_and_the_most_that_was() {
        let numbers = |count: i64| Tensor::zeros([count], (Kind::Float, Device::Cpu));
        let before = numbers(1000);
        let counter = Counter::begin().unwrap();
        let kept = numbers(256);
        drop(numbers(512));
        assert_eq!(counter.read().unwrap(), Counted { held: 1024, peak: 3 * 1024 });
        drop(kept);
        drop(before);
        assert_eq!(counter.read().unwrap().held, 0, "what was there before is not counted");
        drop(counter);
        let counter = Counter::begin().unwrap();
        assert_eq!(counter.read().unwrap(), Counted { held: 0, peak: 0 });
    }

    #[test]
    fn without_cuda_a_gpu_has_no_memory_to_tell_of() {
        assert!(gpu_memory(0).is_err());
        assert!(gpu_memory(500).is_err());
        assert!(forget_gpu_peak(0).is_err());
    }
}
