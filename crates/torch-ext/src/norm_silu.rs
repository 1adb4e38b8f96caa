//! Batch normalisation and SiLU as one differentiable operation that keeps its input only.

use std::ffi::c_char;
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use super::{TorchError, checked};

/// The parameters and statistics of a batch normalisation over C channels, each `[C]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
    /// Running mean and variance, which follow the batch.
    pub running: Option<(&'a Tensor, &'a Tensor)>,
    pub momentum: f64,
    pub eps: f64,
}

unsafe extern "C" {
    fn torch_ext_norm_silu(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        running_mean: *const C_tensor,
        running_var: *const C_tensor,
        momentum: f64,
        eps: f64,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// SiLU of `x`, `[N, C, H, W]`, normalised by the statistics of the batch.
///
/// The usual two operations keep the normalised map for backward besides `x`; this one computes it
/// again, which halves what a convolution's followers keep.
///
/// # Errors
/// When libtorch refuses the shapes or types.
pub fn norm_silu(x: &Tensor, norm: Norm) -> Result<Tensor, TorchError> {
    let (mean, var) = norm
        .running
        .map_or((ptr::null(), ptr::null()), |(mean, var)| (mean.as_ptr(), var.as_ptr()));
    let mut output = ptr::null_mut();
    // SAFETY: all tensors outlive the call; `output` is a place for one pointer.
    checked(unsafe {
        let (weight, bias) = (norm.weight.as_ptr(), norm.bias.as_ptr());
        let Norm { momentum, eps, .. } = norm;
        torch_ext_norm_silu(x.as_ptr(), weight, bias, mean, var, momentum, eps, &raw mut output)
    })?;
    // SAFETY: on success the shim has put a tensor there that is ours.
    Ok(unsafe { Tensor::from_ptr(output) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// Output, gradients of x, weight and bias, and running statistics after one pass.
    fn pass(fused: bool, channels_last: bool) -> Vec<Tensor> {
        let ramp = |size: &[i64], step: f64| {
            let count: i64 = size.iter().product();
            (Tensor::arange(count, FLOAT) * step).sin().view(size)
        };
        let leaf = |t: Tensor| t.set_requires_grad(true);
        let nhwc = |t: Tensor| t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let map = ramp(&[3, 5, 4, 6], 0.7);
        let map = leaf(if channels_last { nhwc(map) } else { map });
        let (weight, bias) = (leaf(ramp(&[5], 1.1) + 1.5), leaf(ramp(&[5], 2.3)));
        let (mean, var) = (Tensor::zeros([5], FLOAT), Tensor::ones([5], FLOAT));
        let y = if fused {
            let norm = Norm {
                weight: &weight,
                bias: &bias,
                running: Some((&mean, &var)),
                momentum: 0.03,
                eps: 1e-3,
            };
            norm_silu(&map, norm).unwrap()
        } else {
            let (w, b) = (Some(&weight), Some(&bias));
            map.batch_norm(w, b, Some(&mean), Some(&var), true, 0.03, 1e-3, true).silu()
        };
        (&y * ramp(&[3, 5, 4, 6], 0.3)).sum(Kind::Float).backward();
        vec![y.detach(), map.grad(), weight.grad(), bias.grad(), mean, var]
    }

    #[test]
    fn equals_the_two_operations() {
        for channels_last in [false, true] {
            let (fused, plain) = (pass(true, channels_last), pass(false, channels_last));
            for (i, (a, b)) in fused.iter().zip(&plain).enumerate() {
                assert!(a.allclose(b, 1e-5, 1e-6, false), "{i}: {a} {b}");
            }
            assert_eq!(fused[0], plain[0]);
            assert_eq!(fused[4..], plain[4..]);
        }
    }

    #[test]
    fn takes_maps_in_bf16_with_parameters_in_fp32() {
        let one_pass = |fused: bool| {
            let map = Tensor::arange(360, FLOAT).sin().view([3, 5, 4, 6]).to_kind(Kind::BFloat16);
            let leaf = |t: Tensor| t.set_requires_grad(true);
            let (map, weight) = (leaf(map), leaf(Tensor::arange(5, FLOAT) * 0.1 + 1.0));
            let bias = leaf(Tensor::arange(5, FLOAT) * 0.2);
            let (mean, var) = (Tensor::zeros([5], FLOAT), Tensor::ones([5], FLOAT));
            let running = Some((&mean, &var));
            let y = if fused {
                let (weight, bias) = (&weight, &bias);
                let norm = Norm { weight, bias, running, momentum: 0.03, eps: 1e-3 };
                norm_silu(&map, norm).unwrap()
            } else {
                let (w, b) = (Some(&weight), Some(&bias));
                map.batch_norm(w, b, Some(&mean), Some(&var), true, 0.03, 1e-3, true).silu()
            };
            (y.to_kind(Kind::Float) * map.detach().cos()).sum(Kind::Float).backward();
            [y.detach(), map.grad(), weight.grad(), bias.grad(), mean, var]
        };
        let (fused, plain) = (one_pass(true), one_pass(false));
        use Kind::{BFloat16, Float};
        let kinds = fused.each_ref().map(Tensor::kind);
        assert_eq!(kinds, [BFloat16, BFloat16, Float, Float, Float, Float]);
        for (i, (a, b)) in fused.iter().zip(&plain).enumerate() {
            assert!(
                a.to_kind(Float).allclose(&b.to_kind(Float), 2e-2, 2e-2, false),
                "{i}: {a} {b}"
            );
        }
    }

    #[test]
    fn runs_again_without_statistics_and_without_gradients() {
        let x = Tensor::arange(24, FLOAT).view([2, 3, 2, 2]);
        let (one, zero) = (Tensor::ones([3], FLOAT), Tensor::zeros([3], FLOAT));
        let norm = Norm { weight: &one, bias: &zero, running: None, momentum: 0.03, eps: 1e-3 };
        let y = norm_silu(&x, norm).unwrap();
        assert!(!y.requires_grad());
        assert!((y.mean(Kind::Float).double_value(&[])).is_finite());
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let x = Tensor::ones([2, 3, 2, 2], FLOAT);
        let two = Tensor::ones([2], FLOAT);
        let norm = Norm { weight: &two, bias: &two, running: None, momentum: 0.03, eps: 1e-3 };
        assert!(norm_silu(&x, norm).is_err());
    }
}
