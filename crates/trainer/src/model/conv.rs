//! Convolution, batch normalisation, SiLU: the unit that everything else is made of.

use tch::{Tensor, no_grad};
use torch_ext::{Norm, norm_silu};

use super::Mode;
use super::params::{ParameterKind, Scope};

/// Added to the variance that a normalisation divides by.
pub const NORM_EPS: f64 = 1e-3;
const NORM_MOMENTUM: f64 = 0.03;

/// Conv2d without bias and with padding k / 2, batch normalisation, SiLU.
///
/// `[N, c1, H, W]` -> `[N, c2, H / s, W / s]`
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    norm: BatchNorm,
    stride: i64,
    padding: i64,
    groups: i64,
    activated: bool,
}

impl Conv {
    /// Stride 1, dense.
    pub fn new(scope: &Scope, c1: i64, c2: i64, k: i64) -> Self {
        Self::build(scope, [c1, c2], k, 1, 1)
    }

    /// 3x3 that halves the map.
    pub fn halving(scope: &Scope, c1: i64, c2: i64, groups: i64) -> Self {
        Self::build(scope, [c1, c2], 3, 2, groups)
    }

    /// One filter per channel, stride 1.
    pub fn depthwise(scope: &Scope, c: i64, k: i64) -> Self {
        Self::build(scope, [c, c], k, 1, c)
    }

    /// The same without its activation.
    pub fn linear(self) -> Self {
        Self { activated: false, ..self }
    }

    fn build(scope: &Scope, [c1, c2]: [i64; 2], k: i64, stride: i64, groups: i64) -> Self {
        Self {
            weight: scope.at("conv").conv_weight(&[c2, c1 / groups, k, k]),
            norm: BatchNorm::new(&scope.at("bn"), c2),
            stride,
            padding: k / 2,
            groups,
            activated: true,
        }
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let x = x.conv2d(&self.weight, None::<&Tensor>, stride, padding, [1, 1], self.groups);
        if self.activated { self.norm.forward_silu(&x, mode) } else { self.norm.forward(&x, mode) }
    }
}

/// Batch normalisation per channel: `[N, C, H, W]` -> the same.
#[derive(Debug)]
struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
}

impl BatchNorm {
    fn new(scope: &Scope, c: i64) -> Self {
        Self {
            weight: scope.trained("weight", &[c], ParameterKind::Norm, 1.0),
            bias: scope.trained("bias", &[c], ParameterKind::Bias, 0.0),
            running_mean: scope.running("running_mean", &[c], 0.0),
            running_var: scope.running("running_var", &[c], 1.0),
            batches: scope.count("num_batches_tracked"),
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let statistics = self.statistics(mode);
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            statistics.running.map(|(mean, _)| mean),
            statistics.running.map(|(_, var)| var),
            statistics.of_batch,
            NORM_MOMENTUM,
            NORM_EPS,
            true,
        )
    }

    /// The same, and SiLU.
    fn forward_silu(&self, x: &Tensor, mode: Mode) -> Tensor {
        let Statistics { of_batch, running } = self.statistics(mode);
        if !of_batch {
            let mut normed = self.forward(x, mode);
            return if normed.requires_grad() { normed.silu() } else { normed.silu_() };
        }
        let (weight, bias) = (&self.weight, &self.bias);
        let norm = Norm { weight, bias, running, momentum: NORM_MOMENTUM, eps: NORM_EPS };
        norm_silu(x, norm).expect("a convolution gives the channels of its normalisation")
    }

    /// Counts the batch in training.
    fn statistics(&self, mode: Mode) -> Statistics<'_> {
        // A frozen layer keeps its statistics too.
        let of_batch = mode != Mode::Eval && self.weight.requires_grad();
        let again = mode == Mode::Recompute;
        if of_batch && !again {
            let _ = no_grad(|| self.batches.shallow_clone().g_add_scalar_(1));
        }
        let tracked = !(of_batch && again);
        let running = tracked.then_some((&self.running_mean, &self.running_var));
        Statistics { of_batch, running }
    }
}

/// What a normalisation divides by: the batch's statistics, or the running ones.
struct Statistics<'a> {
    of_batch: bool,
    /// Mean and variance; those of the batch are added to them.
    running: Option<(&'a Tensor, &'a Tensor)>,
}

/// Conv2d 1x1 with bias, neither normalised nor activated: the last layer of a head.
///
/// `[N, c1, H, W]` -> `[N, c2, H, W]`
#[derive(Debug)]
pub(super) struct BiasedConv {
    weight: Tensor,
    bias: Tensor,
}

impl BiasedConv {
    /// `bias` is the value that every bias starts from.
    pub fn new(scope: &Scope, c1: i64, c2: i64, bias: f64) -> Self {
        Self {
            weight: scope.conv_weight(&[c2, c1, 1, 1]),
            bias: scope.trained("bias", &[c2], ParameterKind::Bias, bias),
        }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(&self.weight, Some(&self.bias), [1, 1], [0, 0], [1, 1], 1)
    }
}
