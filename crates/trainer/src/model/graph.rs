//! How the blocks are joined: 0-8 the backbone (P1 to P5), 9-20 the neck, whose layers 14, 17 and
//! 20 feed the head.

use std::collections::BTreeMap;

use tch::Tensor;
use ybox_spec::config::{AttentionPath, Checkpointing};

use super::Mode;
use super::attention::{A2C2f, Attention};
use super::bottleneck::{C3k2, C3k2Shape};
use super::checkpoint::Shared;
use super::conv::Conv;
use super::params::Registry;
use super::spec::ModelSpec;

/// The layers whose outputs the head reads.
pub(super) const HEAD_INPUTS: [usize; 3] = [14, 17, 20];
/// The layers whose outputs are read again later.
const KEPT: [usize; 7] = [4, 6, 8, 11, 14, 17, 20];

/// A layer works on the output of the one before.
#[derive(Debug)]
enum Layer {
    Conv(Conv),
    C3k2(C3k2),
    A2C2f(A2C2f),
    /// Nearest neighbour, to twice the height and width.
    Upsample,
    /// Along the channels, with the output of an earlier layer.
    Concat(usize),
}

/// A layer with tensors and the joins right before it: what checkpointing runs again as one, so that
/// joined maps are not kept.
#[derive(Debug)]
pub(super) struct Stage {
    /// Index of the first of them.
    first: usize,
    layers: Vec<Layer>,
    /// The layer that it joins.
    earlier: Option<usize>,
}

/// Layers 0 to 20, as stages.
pub(super) fn stages(
    registry: &Registry,
    spec: &ModelSpec,
    path: AttentionPath,
) -> Vec<Shared<Stage>> {
    let mut stages = Vec::new();
    let mut layers = Vec::new();
    for (i, layer) in self::layers(registry, spec, path).into_iter().enumerate() {
        let is_join = layer.is_join();
        layers.push(layer);
        if !is_join {
            let layers = std::mem::take(&mut layers);
            stages.push(Shared::new(Stage::new(i + 1 - layers.len(), layers)));
        }
    }
    stages
}

/// Layers 0 to 20.
#[rustfmt::skip]
fn layers(registry: &Registry, spec: &ModelSpec, path: AttentionPath) -> Vec<Layer> {
    let [c1, c2, c3, c4, c5] = spec.scale.channels().map(i64::from);
    let [g2, g3] = spec.graph.stem_groups().map(i64::from);
    let deep = spec.scale.backbone_c3k();
    let n = spec.scale.depth();

    let scope = |i: usize| registry.scope(format_args!("model.{i}"));
    let halving = |i, from, to, groups| Layer::Conv(Conv::halving(&scope(i), from, to, groups));
    let c3k2 = |i, c1, c2, c, c3k| {
        Layer::C3k2(C3k2::new(&scope(i), C3k2Shape { c1, c2, c, n, c3k }))
    };
    let attending = |i, c, area| {
        let (mlp_ratio, residual) = (spec.scale.mlp_ratio(spec.graph), spec.residual_scaling);
        let kind = Attention { graph: spec.graph, area, mlp_ratio, residual, path };
        Layer::A2C2f(A2C2f::new(&scope(i), c, c, 2 * n, Some(kind)))
    };
    let joining = |i, from, to| Layer::A2C2f(A2C2f::new(&scope(i), from, to, n, None));

    vec![
        halving(0, 3, c1, 1),
        halving(1, c1, c2, g2),
        c3k2(2, c2, c3, c3 / 4, deep),
        halving(3, c3, c3, g3),
        c3k2(4, c3, c4, c4 / 4, deep),
        halving(5, c4, c4, 1),
        attending(6, c4, 4),
        halving(7, c4, c5, 1),
        attending(8, c5, 1),

        Layer::Upsample,
        Layer::Concat(6),
        joining(11, c5 + c4, c4),

        Layer::Upsample,
        Layer::Concat(4),
        joining(14, c4 + c4, c3),

        halving(15, c3, c3, 1),
        Layer::Concat(11),
        joining(17, c3 + c4, c4),

        halving(18, c4, c4, 1),
        Layer::Concat(8),
        c3k2(20, c4 + c5, c5, c5 / 2, true),
    ]
}

impl Layer {
    fn is_join(&self) -> bool {
        matches!(self, Self::Upsample | Self::Concat(_))
    }

    /// `earlier` is the output that a concatenation names.
    fn forward(&self, x: &Tensor, earlier: Option<&Tensor>, mode: Mode) -> Tensor {
        match self {
            Self::Conv(m) => m.forward(x, mode),
            Self::C3k2(m) => m.forward(x, mode),
            Self::A2C2f(m) => m.forward(x, mode),
            Self::Upsample => upsample(x),
            Self::Concat(_) => {
                let earlier = earlier.expect("a stage says which layer it joins");
                Tensor::cat(&[x, earlier], 1)
            }
        }
    }
}

impl Stage {
    fn new(first: usize, layers: Vec<Layer>) -> Self {
        let earlier = layers.iter().find_map(|layer| match layer {
            Layer::Concat(earlier) => Some(*earlier),
            _ => None,
        });
        Self { first, layers, earlier }
    }

    /// Index of the last layer, whose output is the stage's.
    fn last(&self) -> usize {
        self.first + self.layers.len() - 1
    }

    fn is_checkpointed(&self, policy: Checkpointing) -> bool {
        match policy {
            Checkpointing::None => false,
            Checkpointing::Attention => {
                matches!(self.layers.last(), Some(Layer::A2C2f(m)) if m.attends())
            }
            Checkpointing::Layer | Checkpointing::LayerHead => true,
        }
    }

    /// Calls `see` with the index and output of each layer.
    fn forward(
        &self,
        x: &Tensor,
        earlier: Option<&Tensor>,
        mode: Mode,
        see: &mut impl FnMut(usize, &Tensor),
    ) -> Tensor {
        (self.first..).zip(&self.layers).fold(x.shallow_clone(), |x, (i, layer)| {
            let x = layer.forward(&x, earlier, mode);
            see(i, &x);
            x
        })
    }
}

impl Shared<Stage> {
    /// [`Stage::forward`] in training, of which only the inputs are kept.
    fn forward_checkpointed(&self, x: &Tensor, earlier: Option<&Tensor>) -> Tensor {
        let inputs: Vec<&Tensor> = [x].into_iter().chain(earlier).collect();
        self.checkpointed(&inputs, |stage, inputs, mode| {
            stage.forward(&inputs[0], inputs.get(1), mode, &mut |_, _| ())
        })
    }
}

/// `[N, C, H, W]` -> `[N, C, 2 H, 2 W]`
fn upsample(x: &Tensor) -> Tensor {
    let (_, _, height, width) = x.size4().expect("a map has four dimensions");
    x.upsample_nearest2d([2 * height, 2 * width], None, None)
}

/// Runs the stages in turn on `images`, calls `see` with the output of each layer, of a checkpointed
/// stage with the last one's, and returns those that the head reads.
pub(super) fn run(
    stages: &[Shared<Stage>],
    images: &Tensor,
    mode: Mode,
    policy: Checkpointing,
    mut see: impl FnMut(usize, &Tensor),
) -> [Tensor; 3] {
    let mut x = images.shallow_clone();
    let mut kept: BTreeMap<usize, Tensor> = BTreeMap::new();
    for stage in stages {
        let earlier = stage.earlier.map(|i| &kept[&i]);
        if mode == Mode::Train && stage.is_checkpointed(policy) {
            x = stage.forward_checkpointed(&x, earlier);
            see(stage.last(), &x);
        } else {
            x = stage.forward(&x, earlier, mode, &mut see);
        }
        if KEPT.contains(&stage.last()) {
            kept.insert(stage.last(), x.shallow_clone());
        }
    }
    HEAD_INPUTS.map(|i| kept.remove(&i).expect("KEPT names the head's inputs"))
}
