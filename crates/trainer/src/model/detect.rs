//! The head: per level, box logits and class logits for each cell, and their decoding to boxes.
//! Choosing among overlapping boxes is left to others.

use tch::{Kind, Tensor};
use ybox_spec::architecture;
use ybox_spec::config::Checkpointing;

use super::Mode;
use super::checkpoint::Shared;
use super::conv::{BiasedConv, Conv};
use super::params::Scope;
use super::spec::ModelSpec;
use crate::anchors::{STRIDES, make_anchors};

/// Bins of the distribution over a side's distance (Li et al., "Generalized Focal Loss", 2020).
pub const DFL_BINS: i64 = architecture::DFL_BINS as i64;
/// Leading channels of a raw map: four sides (left, top, right, bottom) of [`DFL_BINS`] logits.
pub const BOX_CHANNELS: i64 = architecture::BOX_CHANNELS as i64;

/// Sides of training images that the class biases assume.
const PRIOR_IMAGE: f64 = 640.0;
/// Objects per image that they assume.
const PRIOR_OBJECTS: f64 = 5.0;

/// The decoupled head on three levels.
///
/// `[N, c_i, H_i, W_i]` -> `[N, BOX_CHANNELS + nc, H_i, W_i]` for each level i.
#[derive(Debug)]
pub(super) struct Detect {
    levels: [Shared<Level>; 3],
}

#[derive(Debug)]
struct Level {
    boxes: BoxBranch,
    classes: ClassBranch,
}

#[derive(Debug)]
struct BoxBranch(Conv, Conv, BiasedConv);

#[derive(Debug)]
struct ClassBranch([(Conv, Conv); 2], BiasedConv);

impl Detect {
    pub fn new(scope: &Scope, spec: &ModelSpec) -> Self {
        let nc = spec.nc;
        let [_, _, c3, c4, c5] = spec.scale.channels().map(i64::from);
        let channels = [c3, c4, c5];
        let widths = spec.scale.head_widths(nc as u64);
        let [box_width, class_width] = widths.map(|width| width as i64);
        // The order of registration is the published one: all boxes, all classes, the bins.
        let boxes =
            [0, 1, 2].map(|i| BoxBranch::new(&scope.at("cv2").at(i), channels[i], box_width));
        let classes = [0, 1, 2].map(|i| {
            let bias = class_bias(nc, STRIDES[i]);
            ClassBranch::new(&scope.at("cv3").at(i), channels[i], class_width, nc, bias)
        });
        // Published state dicts hold the bins' values; decoding needs no tensor for them.
        let _ = scope.at("dfl").at("conv").bins(DFL_BINS);
        let [b0, b1, b2] = boxes;
        let [c0, c1, c2] = classes;
        let levels = [(b0, c0), (b1, c1), (b2, c2)];
        Self { levels: levels.map(|(boxes, classes)| Shared::new(Level { boxes, classes })) }
    }

    pub fn forward(
        &self,
        features: [&Tensor; 3],
        mode: Mode,
        policy: Checkpointing,
    ) -> [Tensor; 3] {
        let checkpointed = mode == Mode::Train && policy == Checkpointing::LayerHead;
        [0, 1, 2].map(|i| match (&self.levels[i], features[i]) {
            (level, x) if checkpointed => {
                level.checkpointed(&[x], |level, x, mode| level.forward(&x[0], mode))
            }
            (level, x) => level.forward(x, mode),
        })
    }
}

/// The logit of the chance that a cell holds an object of one class.
fn class_bias(nc: i64, stride: i64) -> f64 {
    let cells = (PRIOR_IMAGE / stride as f64).powi(2);
    libm::log(PRIOR_OBJECTS / nc as f64 / cells)
}

impl Level {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let boxes = self.boxes.forward(x, mode);
        let classes = self.classes.forward(x, mode);
        Tensor::cat(&[boxes, classes], 1)
    }
}

impl BoxBranch {
    fn new(scope: &Scope, c: i64, width: i64) -> Self {
        Self(
            Conv::new(&scope.at(0), c, width, 3),
            Conv::new(&scope.at(1), width, width, 3),
            BiasedConv::new(&scope.at(2), width, BOX_CHANNELS, 1.0),
        )
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.2.forward(&self.1.forward(&self.0.forward(x, mode), mode))
    }
}

impl ClassBranch {
    fn new(scope: &Scope, c: i64, width: i64, nc: i64, bias: f64) -> Self {
        let separable =
            |at: Scope, c| (Conv::depthwise(&at.at(0), c, 3), Conv::new(&at.at(1), c, width, 1));
        let convs = [separable(scope.at(0), c), separable(scope.at(1), width)];
        Self(convs, BiasedConv::new(&scope.at(2), width, nc, bias))
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let deep = self.0.iter().fold(x.shallow_clone(), |x, (depthwise, pointwise)| {
            pointwise.forward(&depthwise.forward(&x, mode), mode)
        });
        self.1.forward(&deep)
    }
}

/// Boxes and scores of raw maps: `[N, 4 + nc, A]` in fp32. Rows are centre x, centre y, width and
/// height in input pixels, then the classes' probabilities; anchors are ordered by level and
/// within a level row by row.
pub fn decode(raw: &[Tensor; 3], strides: [i64; 3]) -> Tensor {
    let flat: Vec<Tensor> = raw.iter().map(|map| map.flatten(2, 3).to_kind(Kind::Float)).collect();
    let flat = Tensor::cat(&flat, 2);
    let classes = flat.size()[1] - BOX_CHANNELS;
    let shapes = raw.each_ref().map(|map| (map.size()[2], map.size()[3]));
    let anchors = make_anchors(&shapes, &strides, raw[0].device());
    let distances = expected_distances(&flat.narrow(1, 0, BOX_CHANNELS));
    let sides = distances.chunk(2, 1);
    let points = anchors.points.tr();
    let (near, far) = (&points - &sides[0], &points + &sides[1]);
    let boxes = Tensor::cat(&[(&near + &far) / 2, &far - &near], 1) * anchors.strides.tr();
    Tensor::cat(&[boxes, flat.narrow(1, BOX_CHANNELS, classes).sigmoid()], 1)
}

/// Expectation of each side's distribution: `[N, BOX_CHANNELS, A]` -> `[N, 4, A]` in cells.
fn expected_distances(logits: &Tensor) -> Tensor {
    let (n, _, anchors) = logits.size3().expect("batch, channels, anchors");
    let chances = logits.view([n, 4, DFL_BINS, anchors]).softmax(2, Kind::Float);
    let bins = Tensor::arange(DFL_BINS, (Kind::Float, logits.device())).view([1, 1, -1, 1]);
    (chances * bins).sum_dim_intlist([2i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_a_box_around_its_cell() {
        let map =
            |side| Tensor::full([1, BOX_CHANNELS + 2, side, side], -100.0, tch::kind::FLOAT_CPU);
        let raw = [map(4), map(2), map(1)];
        // On the middle level, row 1, column 0: left 0, top 1, right 2, bottom 3 cells; class 1.
        for (side, bin) in [0, 1, 2, 3].into_iter().enumerate() {
            let channel = side as i64 * DFL_BINS + bin;
            let _ = raw[1].get(0).get(channel).get(1).get(0).fill_(100.0);
        }
        let _ = raw[1].get(0).get(BOX_CHANNELS + 1).get(1).get(0).fill_(0.0);
        let decoded = decode(&raw, STRIDES);
        assert_eq!(decoded.size(), [1, 6, 16 + 4 + 1]);
        let found: Vec<f32> = decoded.get(0).select(1, 16 + 2).try_into().unwrap();
        // Centre (0.5, 1.5) in cells of 16 pixels; x from 0.5 to 2.5, y from 0.5 to 4.5.
        assert_eq!(found, [1.5 * 16.0, 2.5 * 16.0, 2.0 * 16.0, 4.0 * 16.0, 0.0, 0.5]);
    }

    #[test]
    fn class_bias_is_the_published_prior() {
        assert!((class_bias(80, 8) - (5.0f64 / 80.0 / 6400.0).ln()).abs() < 1e-12);
    }
}
