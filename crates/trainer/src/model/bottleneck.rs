//! Convolutional blocks: Bottleneck, C3k, C3k2.

use tch::Tensor;

use super::Mode;
use super::conv::Conv;
use super::params::Scope;

/// Two 3x3 convolutions around a hidden width, plus the input.
///
/// `[N, c, H, W]` -> the same.
#[derive(Debug)]
pub(super) struct Bottleneck {
    cv1: Conv,
    cv2: Conv,
}

impl Bottleneck {
    pub fn new(scope: &Scope, c: i64, hidden: i64) -> Self {
        Self {
            cv1: Conv::new(&scope.at("cv1"), c, hidden, 3),
            cv2: Conv::new(&scope.at("cv2"), hidden, c, 3),
        }
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        x + self.cv2.forward(&self.cv1.forward(x, mode), mode)
    }
}

/// Two branches of half the width: two Bottlenecks on the first, nothing on the second; joined.
///
/// `[N, c, H, W]` -> the same.
#[derive(Debug)]
pub(super) struct C3k {
    cv1: Conv,
    cv2: Conv,
    cv3: Conv,
    m: [Bottleneck; 2],
}

impl C3k {
    pub fn new(scope: &Scope, c: i64) -> Self {
        let half = c / 2;
        Self {
            cv1: Conv::new(&scope.at("cv1"), c, half, 1),
            cv2: Conv::new(&scope.at("cv2"), c, half, 1),
            cv3: Conv::new(&scope.at("cv3"), c, c, 1),
            m: [0, 1].map(|i| Bottleneck::new(&scope.at("m").at(i), half, half)),
        }
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let first = self.m.iter().fold(self.cv1.forward(x, mode), |x, m| m.forward(&x, mode));
        self.cv3.forward(&Tensor::cat(&[first, self.cv2.forward(x, mode)], 1), mode)
    }
}

/// Splits into two pieces of `c` channels, derives `n` more, each from the last, and joins all.
///
/// `[N, c1, H, W]` -> `[N, c2, H, W]`
#[derive(Debug)]
pub(super) struct C3k2 {
    cv1: Conv,
    cv2: Conv,
    m: Vec<Inner>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a model holds a dozen")]
enum Inner {
    Bottleneck(Bottleneck),
    C3k(C3k),
}

/// The numbers of a C3k2.
#[derive(Debug, Clone, Copy)]
pub(super) struct C3k2Shape {
    pub c1: i64,
    pub c2: i64,
    /// Width of a piece.
    pub c: i64,
    /// Inner modules.
    pub n: usize,
    /// They are C3k, not Bottlenecks that halve their width.
    pub c3k: bool,
}

impl C3k2 {
    pub fn new(scope: &Scope, shape: C3k2Shape) -> Self {
        let C3k2Shape { c1, c2, c, n, c3k } = shape;
        let inner = |i| match scope.at("m").at(i) {
            at if c3k => Inner::C3k(C3k::new(&at, c)),
            at => Inner::Bottleneck(Bottleneck::new(&at, c, c / 2)),
        };
        Self {
            cv1: Conv::new(&scope.at("cv1"), c1, 2 * c, 1),
            cv2: Conv::new(&scope.at("cv2"), (2 + n as i64) * c, c2, 1),
            m: (0..n).map(inner).collect(),
        }
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let mut pieces = self.cv1.forward(x, mode).chunk(2, 1);
        for m in &self.m {
            pieces.push(m.forward(&pieces[pieces.len() - 1], mode));
        }
        self.cv2.forward(&Tensor::cat(&pieces, 1), mode)
    }
}

impl Inner {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Self::Bottleneck(m) => m.forward(x, mode),
            Self::C3k(m) => m.forward(x, mode),
        }
    }
}
