//! Area attention and the blocks around it: AAttn, ABlock, A2C2f.
//!
//! Suffixes name dimensions: `b` image, `a` area, `n` token, `h` head, `d` channel of a head.

use tch::{Kind, Tensor};
use ybox_spec::architecture;
use ybox_spec::config::AttentionPath;

use super::Mode;
use super::bottleneck::C3k;
use super::conv::Conv;
use super::init::Init;
use super::params::{ParameterKind, Scope};
use super::spec::Graph;

/// Channels of a head, in every model.
pub const HEAD_DIM: i64 = architecture::HEAD_DIM as i64;
/// What gamma starts from.
const GAMMA: f64 = 0.01;

/// Attention within areas: the map's tokens, in row-major order, are cut into `area` equal runs
/// and each run attends to itself. A depthwise convolution of v carries position.
///
/// `[N, c, H, W]` -> the same; H * W must be a multiple of `area`.
#[derive(Debug)]
struct AAttn {
    projection: Projection,
    proj: Conv,
    pe: Conv,
    area: i64,
    path: AttentionPath,
}

/// Where q, k and v come from, the difference between the graphs.
#[derive(Debug)]
enum Projection {
    /// Turbo: all of q and then all of k from one convolution, v from another.
    Split { qk: Conv, v: Conv },
    /// v1.0: one convolution, per head q, k, v.
    Joint(Conv),
}

impl AAttn {
    fn new(scope: &Scope, c: i64, kind: Attention) -> Self {
        let pointwise = |name, c2| Conv::new(&scope.at(name), c, c2, 1).linear();
        let (projection, pe_kernel) = match kind.graph {
            Graph::Turbo => {
                (Projection::Split { qk: pointwise("qk", 2 * c), v: pointwise("v", c) }, 5)
            }
            Graph::V1 => (Projection::Joint(pointwise("qkv", 3 * c)), 7),
        };
        Self {
            projection,
            proj: pointwise("proj", c),
            pe: Conv::depthwise(&scope.at("pe"), c, pe_kernel).linear(),
            area: kind.area,
            path: kind.path,
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let (b, c, height, width) = x.size4().expect("a map has four dimensions");
        let (qkv_bahnd, v_bchw) = self.projection.forward(x, self.area, mode);
        let attended = attend(&qkv_bahnd, self.path);
        let attended = to_map(&attended, [b, c, height, width]);
        self.proj.forward(&(self.pe.forward(&v_bchw, mode) + attended), mode)
    }
}

impl Projection {
    /// q, k, v as `[b * a, h, n, d]` and v as a map `[b, c, H, W]`.
    fn forward(&self, x: &Tensor, area: i64, mode: Mode) -> ([Tensor; 3], Tensor) {
        match self {
            Self::Split { qk, v } => {
                let v_map = v.forward(x, mode);
                let [q, k] = heads(&qk.forward(x, mode), area, Order::PartsOfHeads);
                let [v] = heads(&v_map, area, Order::PartsOfHeads);
                ([q, k, v], v_map)
            }
            Self::Joint(qkv) => {
                let map = qkv.forward(x, mode);
                let (b, c, height, width) = map.size4().expect("a map has four dimensions");
                let qkv = heads(&map, area, Order::HeadsOfParts);
                let v_map = to_map(&qkv[2], [b, c / 3, height, width]);
                (qkv, v_map)
            }
        }
    }
}

/// How the channels of a projection are laid out.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// `[part][head][d]`
    PartsOfHeads,
    /// `[head][part][d]`
    HeadsOfParts,
}

/// Cuts a map `[b, PARTS * h * d, H, W]` into `PARTS` tensors `[b * a, h, n, d]`, whose last
/// dimension is contiguous, as the fused kernels ask.
fn heads<const PARTS: usize>(map: &Tensor, area: i64, order: Order) -> [Tensor; PARTS] {
    let (b, c, height, width) = map.size4().expect("a map has four dimensions");
    let parts = PARTS as i64;
    let (h, n) = (c / parts / HEAD_DIM, height * width / area);
    let tokens = map.flatten(2, 3).transpose(1, 2).contiguous();
    let by_part = match order {
        Order::PartsOfHeads => tokens.view([b * area, n, parts, h, HEAD_DIM]).unbind(2),
        Order::HeadsOfParts => tokens.view([b * area, n, h, parts, HEAD_DIM]).unbind(3),
    };
    let by_part = <[Tensor; PARTS]>::try_from(by_part).expect("unbind yields one per part");
    by_part.map(|part_nhd| part_nhd.transpose(1, 2))
}

/// The inverse of [`heads`] for one part.
fn to_map(part_bahnd: &Tensor, [b, c, height, width]: [i64; 4]) -> Tensor {
    let tokens = part_bahnd.transpose(1, 2).reshape([b, height * width, c]);
    tokens.transpose(1, 2).view([b, c, height, width])
}

/// softmax(q k^T / sqrt(d)) v over `[.., n, d]`.
pub fn attend([q, k, v]: &[Tensor; 3], path: AttentionPath) -> Tensor {
    let scale = 1.0 / (HEAD_DIM as f64).sqrt();
    if path != AttentionPath::Safe {
        let no_mask = None::<&Tensor>;
        return Tensor::scaled_dot_product_attention(q, k, v, no_mask, 0.0, false, scale, false);
    }
    // Scaled before the product, the scores stay within fp16's range 5.7 times longer.
    let scores = (q * scale).matmul(&k.transpose(-2, -1));
    scores.softmax(-1, Kind::Float).to_kind(v.kind()).matmul(v)
}

/// Attention and a two-layer MLP, each added to its input.
///
/// `[N, c, H, W]` -> the same.
#[derive(Debug)]
struct ABlock {
    attn: AAttn,
    mlp: [Conv; 2],
}

impl ABlock {
    fn new(scope: &Scope, c: i64, kind: Attention) -> Self {
        let scope = scope.with_conv_init(Init::Normal);
        // Truncated, not rounded: 256 * 1.2 gives 307.
        let hidden = (c as f64 * kind.mlp_ratio) as i64;
        let mlp = scope.at("mlp");
        Self {
            attn: AAttn::new(&scope.at("attn"), c, kind),
            mlp: [
                Conv::new(&mlp.at(0), c, hidden, 1),
                Conv::new(&mlp.at(1), hidden, c, 1).linear(),
            ],
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let x = x + self.attn.forward(x, mode);
        let [widen, narrow] = &self.mlp;
        &x + narrow.forward(&widen.forward(&x, mode), mode)
    }
}

/// Residual efficient layer aggregation: `n` inner modules in a row, all their outputs joined,
/// with residual scaling multiplied by gamma and added to the input.
///
/// `[N, c1, H, W]` -> `[N, c2, H, W]`
#[derive(Debug)]
pub(super) struct A2C2f {
    gamma: Option<Tensor>,
    cv1: Conv,
    cv2: Conv,
    m: Vec<Inner>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a model holds a dozen")]
enum Inner {
    Attention([ABlock; 2]),
    C3k(C3k),
}

/// What an A2C2f's attention is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention {
    pub graph: Graph,
    pub area: i64,
    pub mlp_ratio: f64,
    /// The output is scaled by gamma and added to the input (c1 = c2).
    pub residual: bool,
    pub path: AttentionPath,
}

impl A2C2f {
    /// Without `attention` the inner modules are C3k.
    pub fn new(scope: &Scope, c1: i64, c2: i64, n: usize, attention: Option<Attention>) -> Self {
        let hidden = c2 / 2;
        let residual = attention.is_some_and(|kind| kind.residual);
        let inner = |i| {
            let at = scope.at("m").at(i);
            match attention {
                Some(kind) => {
                    Inner::Attention([0, 1].map(|j| ABlock::new(&at.at(j), hidden, kind)))
                }
                None => Inner::C3k(C3k::new(&at, hidden)),
            }
        };
        Self {
            gamma: residual.then(|| scope.trained("gamma", &[c2], ParameterKind::Norm, GAMMA)),
            cv1: Conv::new(&scope.at("cv1"), c1, hidden, 1),
            cv2: Conv::new(&scope.at("cv2"), (1 + n as i64) * hidden, c2, 1),
            m: (0..n).map(inner).collect(),
        }
    }

    /// Whether its inner modules are attention.
    pub fn attends(&self) -> bool {
        matches!(self.m.first(), Some(Inner::Attention(_)))
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let mut pieces = vec![self.cv1.forward(x, mode)];
        for m in &self.m {
            pieces.push(m.forward(&pieces[pieces.len() - 1], mode));
        }
        let out = self.cv2.forward(&Tensor::cat(&pieces, 1), mode);
        match &self.gamma {
            Some(gamma) => x + gamma.view([-1, 1, 1]) * out,
            None => out,
        }
    }
}

impl Inner {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Self::Attention([first, second]) => second.forward(&first.forward(x, mode), mode),
            Self::C3k(m) => m.forward(x, mode),
        }
    }
}
