//! Checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016): a segment of
//! a model keeps its inputs only, and is run again in backward. Which segments is left to others.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{mem, ptr, slice};

use tch::{Tensor, no_grad};
use torch_sys::C_tensor;

use super::{TorchError, checked};

/// Which time a segment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// In forward, not recorded.
    First,
    /// In backward, for its gradients.
    Again,
}

type Segment = Box<dyn Fn(&[Tensor], Pass) -> Tensor + Send>;

/// Bytes of a message, as the shim has it.
const MESSAGE: usize = 1024;

unsafe extern "C" {
    fn torch_ext_checkpoint(
        inputs: *const *mut C_tensor,
        count: usize,
        output: *mut C_tensor,
        segment: *mut c_void,
        run: extern "C" fn(*mut c_void, *const *mut C_tensor, usize, *mut c_char) -> *mut C_tensor,
        drop: extern "C" fn(*mut c_void),
    ) -> *mut c_char;
}

/// Runs `segment` on `inputs`, at least one, and again in backward. Its output must be a new
/// tensor, and both passes must give the same bits. Backward may run the segment on another thread,
/// while the one that asked for it waits; it runs under the autocast setting of now.
///
/// Gradients have the bits that they have without checkpointing, unless an input is used more than
/// once by the segment and also by something that comes later: their sum is then taken in another
/// order.
///
/// # Errors
/// When the output can't be made to depend on the inputs.
///
/// # Panics
/// When the segment does; in backward this becomes an error of `backward`.
pub fn checkpoint(
    inputs: &[&Tensor],
    segment: impl Fn(&[Tensor], Pass) -> Tensor + Send + 'static,
) -> Result<Tensor, TorchError> {
    let copies: Vec<Tensor> = inputs.iter().map(|input| input.shallow_clone()).collect();
    let mut output = no_grad(|| segment(&copies, Pass::First));
    let pointers: Vec<*mut C_tensor> = copies.iter().map(|t| t.as_ptr().cast_mut()).collect();
    let segment: Segment = Box::new(segment);
    let segment = Box::into_raw(Box::new(segment)).cast::<c_void>();
    // SAFETY: all tensors outlive the call; `segment` is what `run` and `drop` expect, and the shim
    // drops it once, whatever happens.
    checked(unsafe {
        let output = output.as_mut_ptr();
        torch_ext_checkpoint(pointers.as_ptr(), pointers.len(), output, segment, run, drop)
    })?;
    Ok(output)
}

extern "C" fn run(
    segment: *mut c_void,
    inputs: *const *mut C_tensor,
    count: usize,
    message: *mut c_char,
) -> *mut C_tensor {
    // SAFETY: the shim calls this with what `checkpoint` gave it, before `drop`, one call at a time.
    let segment = unsafe { &*segment.cast::<Segment>() };
    // SAFETY: the shim gives `count` tensors, each ours from here on.
    let inputs: Vec<Tensor> = unsafe { slice::from_raw_parts(inputs, count) }
        .iter()
        .map(|&input| unsafe { Tensor::from_ptr(input) })
        .collect();
    match catch_unwind(AssertUnwindSafe(|| segment(&inputs, Pass::Again))) {
        Ok(output) => {
            let pointer = output.as_ptr().cast_mut();
            mem::forget(output);
            pointer
        }
        Err(panic) => {
            let text = reason(panic.as_ref());
            let length = text.len().min(MESSAGE - 1);
            // SAFETY: `message` has MESSAGE bytes, all zero, so the last one ends the text.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), message, length) };
            ptr::null_mut()
        }
    }
}

extern "C" fn drop(segment: *mut c_void) {
    // SAFETY: from `Box::into_raw` in `checkpoint`; the shim calls this once, at the end.
    let segment = unsafe { Box::from_raw(segment.cast::<Segment>()) };
    // A panic must not cross the border, and there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| mem::drop(segment)));
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tch::{Device, Kind};

    use super::*;

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    fn bits(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn gradients_reach_inputs_and_what_the_segment_holds() {
        let gradients = |checkpointed: bool| {
            let (a, b) = (leaf(&[1., -2., 3.]), leaf(&[0.5, 0.25, -1.]));
            let weight = leaf(&[0.1, 0.2, 0.3]);
            let held = weight.shallow_clone();
            let segment = move |x: &[Tensor], _: Pass| (&x[0] * &held).sigmoid() * &x[1] + &x[0];
            let (x, y) = (a.sin(), b.cos());
            let earlier = x.square();
            let out = if checkpointed {
                checkpoint(&[&x, &y], segment).unwrap()
            } else {
                segment(&[x.shallow_clone(), y], Pass::First)
            };
            (out * earlier).sum(Kind::Float).backward();
            [a, b, weight].map(|t| bits(&t.grad()))
        };
        assert_eq!(gradients(true), gradients(false));
    }

    #[test]
    fn runs_once_in_forward_once_in_backward_and_is_dropped() {
        let (passes, alive) = (Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]), Arc::new(()));
        let (counts, held) = (Arc::clone(&passes), Arc::clone(&alive));
        let weight = leaf(&[2.]);
        // No input requires a gradient: what the segment holds does.
        let image = Tensor::ones([1], (Kind::Float, Device::Cpu));
        let factor = weight.shallow_clone();
        let out = checkpoint(&[&image], move |x, pass| {
            let _ = &held;
            counts[pass as usize].fetch_add(1, Ordering::Relaxed);
            &x[0] * &factor
        });
        let out = out.unwrap();
        let ran = || passes.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(ran(), [1, 0]);
        out.backward();
        assert_eq!((ran(), bits(&weight.grad())), ([1, 1], vec![1.]));
        assert_eq!(Arc::strong_count(&alive), 1, "backward releases the segment");
    }

    #[test]
    fn without_gradients_nothing_is_kept() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let x = leaf(&[1.]);
        let out = no_grad(|| checkpoint(&[&x], move |x, _| (&x[0] + 1., &held).0).unwrap());
        assert!(!out.requires_grad());
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_panic_in_backward_is_an_error_with_its_reason() {
        let x = leaf(&[1.]);
        let out = checkpoint(&[&x], |x, pass| {
            assert!(pass == Pass::First, "no second time");
            &x[0] * 2.
        });
        let out = out.unwrap();
        let error = catch_unwind(AssertUnwindSafe(|| out.backward())).unwrap_err();
        assert!(reason(error.as_ref()).contains("no second time"), "{}", reason(error.as_ref()));
    }

    #[test]
    fn an_output_that_is_an_input_is_refused() {
        let x = leaf(&[1.]);
        let error = checkpoint(&[&x], |x, _| x[0].shallow_clone()).unwrap_err();
        assert!(error.to_string().contains("a tensor of its own"), "{error}");
    }
}
