//! Mixed precision: within a region, libtorch casts the inputs of convolutions and matrix products
//! to a shorter type and computes the rest where it needs to be exact.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::Device;

use super::{TorchError, checked};

/// A type that work is cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    Fp16,
    Bf16,
}

unsafe extern "C" {
    fn torch_ext_autocast_enter(cuda: bool, bf16: bool, before: *mut *mut c_void) -> *mut c_char;
    fn torch_ext_autocast_leave(before: *mut c_void) -> *mut c_char;
}

/// Runs `body` with its work on `device` cast to `precision`, and puts back what was in force
/// before, also when `body` panics. Regions nest. Only this thread's work is cast; backward belongs
/// outside.
///
/// # Errors
/// When libtorch has no autocast for the device; `body` has not run then.
///
/// # Panics
/// When `body` does.
pub fn autocast<T>(
    device: Device,
    precision: Precision,
    body: impl FnOnce() -> T,
) -> Result<T, TorchError> {
    let _region = Region::enter(device, precision)?;
    Ok(body())
}

/// Holds what was in force before. The pointer keeps it in the thread that it belongs to.
struct Region(*mut c_void);

impl Region {
    fn enter(device: Device, precision: Precision) -> Result<Self, TorchError> {
        let cuda = match device {
            Device::Cpu => false,
            Device::Cuda(_) => true,
            other => return Err(TorchError(format!("there is no autocast for {other:?}"))),
        };
        let mut before = ptr::null_mut();
        // SAFETY: takes plain values and a place for one pointer.
        checked(unsafe {
            torch_ext_autocast_enter(cuda, precision == Precision::Bf16, &raw mut before)
        })?;
        Ok(Self(before))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: from `torch_ext_autocast_enter`, given back once, in the same thread.
        let left = checked(unsafe { torch_ext_autocast_leave(self.0) });
        debug_assert!(left.is_ok(), "{left:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tch::{Kind, Tensor, no_grad};

    use super::*;

    fn bf16<T>(body: impl FnOnce() -> T) -> T {
        autocast(Device::Cpu, Precision::Bf16, body).unwrap()
    }

    fn ones() -> Tensor {
        Tensor::ones([4, 4], (Kind::Float, Device::Cpu))
    }

    /// The type that a product has now.
    fn kind() -> Kind {
        ones().matmul(&ones()).kind()
    }

    #[test]
    fn casts_products_inside_and_nothing_outside() {
        assert_eq!(kind(), Kind::Float);
        assert_eq!(bf16(kind), Kind::BFloat16);
        assert_eq!(kind(), Kind::Float);
    }

    #[test]
    fn regions_nest() {
        let kinds = bf16(|| {
            let inner = autocast(Device::Cpu, Precision::Fp16, kind).unwrap();
            [inner, kind()]
        });
        assert_eq!(kinds, [Kind::Half, Kind::BFloat16]);
    }

    #[test]
    fn a_panic_ends_the_region() {
        let panicked = catch_unwind(AssertUnwindSafe(|| bf16(|| panic!("within"))));
        assert!(panicked.is_err());
        assert_eq!(kind(), Kind::Float);
    }

    #[test]
    fn weights_that_changed_are_cast_again() {
        let weight = ones().set_requires_grad(true);
        let product = || bf16(|| ones().matmul(&weight).sum(Kind::Float).double_value(&[]));
        assert_eq!(product(), 64.0);
        let _ = no_grad(|| weight.shallow_clone().fill_(2.0));
        assert_eq!(product(), 128.0);
    }

    #[test]
    fn gradients_come_in_the_type_of_the_weights() {
        let weight = ones().set_requires_grad(true);
        let product = bf16(|| ones().matmul(&weight));
        product.to_kind(Kind::Float).sum(Kind::Float).backward();
        assert_eq!(weight.grad(), ones() * 4.0);
    }

    #[test]
    fn a_device_without_autocast_is_an_error() {
        assert!(autocast(Device::Mps, Precision::Bf16, || ()).is_err());
    }
}
