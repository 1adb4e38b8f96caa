//! The assembled model.

use tch::{Device, Tensor};
use ybox_spec::config::{AttentionPath, Checkpointing, Freeze};

use super::Mode;
use super::checkpoint::Shared;
use super::detect::Detect;
use super::graph::{self, Stage};
use super::params::{Buffer, Parameter, Registry, StateDictError};
use super::spec::ModelSpec;
use crate::anchors::STRIDES;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("the attention path `auto` must be settled before a model is built")]
    AttentionUnsettled,
}

/// YOLOv12: 21 layers and the head. Not `Clone`: build a second one and load the first's state.
#[derive(Debug)]
pub struct Yolo12 {
    spec: ModelSpec,
    registry: Registry,
    stages: Vec<Shared<Stage>>,
    head: Detect,
    checkpointing: Checkpointing,
}

impl Yolo12 {
    /// A model whose tensors are all zero until [`Yolo12::init`] or
    /// [`Yolo12::load_state_dict`].
    ///
    /// # Errors
    /// When `attention` is `auto`.
    pub fn new(
        spec: ModelSpec,
        attention: AttentionPath,
        device: Device,
    ) -> Result<Self, ModelError> {
        if attention == AttentionPath::Auto {
            return Err(ModelError::AttentionUnsettled);
        }
        let registry = Registry::new(device);
        let stages = graph::stages(&registry, &spec, attention);
        let head = Detect::new(&registry.scope("model.21"), &spec);
        Ok(Self { spec, registry, stages, head, checkpointing: Checkpointing::None })
    }

    /// The same, with parts that run again in backward.
    pub fn with_checkpointing(self, checkpointing: Checkpointing) -> Self {
        Self { checkpointing, ..self }
    }

    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Sets every tensor to its initial value. The bits follow from `seed` alone.
    pub fn init(&self, seed: u64) {
        self.registry.init(seed);
    }

    /// Keeps the parameters of the layers that `frozen` covers from being trained, and their
    /// running statistics from following the batches.
    pub fn freeze(&self, frozen: &Freeze) {
        self.registry.freeze(|layer| frozen.covers(layer));
    }

    /// Raw maps of the head, `[N, 64 + nc, H / s, W / s]` for s in [`super::STRIDES`]: channels
    /// 0..64 are box logits, side by side, the rest class logits.
    ///
    /// `images` is `[N, 3, H, W]`, RGB in 0..1.
    ///
    /// # Panics
    /// When H or W is not a multiple of 32, or `images` is on another device.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> [Tensor; 3] {
        self.forward_seen(images, mode, |_, _| ())
    }

    /// [`Yolo12::forward`] that calls `see` with the index and output of each of the layers 0 to
    /// 20, but for joins of maps that are checkpointed.
    pub fn forward_seen(
        &self,
        images: &Tensor,
        mode: Mode,
        see: impl FnMut(usize, &Tensor),
    ) -> [Tensor; 3] {
        let (_, _, height, width) = images.size4().expect("images have four dimensions");
        let policy = self.checkpointing_at(height, width);
        let features = graph::run(&self.stages, images, mode, policy, see);
        self.head.forward(features.each_ref(), mode, policy)
    }

    /// What runs again for pictures of this size. Maps of a single cell have no memory order of
    /// their own, and a gradient that takes another one is summed in another order: the smallest
    /// pictures, which need no saving, are not checkpointed.
    pub fn checkpointing_at(&self, height: i64, width: i64) -> Checkpointing {
        let stride = STRIDES[2];
        if height > stride || width > stride { self.checkpointing } else { Checkpointing::None }
    }

    /// What is trained, in the order of the published state dicts.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.registry.parameters()
    }

    /// Running means and variances, in the order of the published state dicts.
    pub fn buffers(&self) -> Vec<Buffer> {
        self.registry.buffers()
    }

    /// Values in all parameters, with the 16 frozen ones of the head that published counts
    /// include.
    pub fn parameter_count(&self) -> usize {
        self.registry.parameter_count()
    }

    /// Everything that a weights file holds, in registration order: parameters, running
    /// statistics, counts of batches, the head's bins. The tensors share the model's storage.
    pub fn named_tensors(&self) -> Vec<(String, Tensor)> {
        self.registry.state()
    }

    /// [`Yolo12::named_tensors`] sorted by name.
    pub fn state_dict(&self) -> Vec<(String, Tensor)> {
        let mut state = self.registry.state();
        state.sort_by(|a, b| a.0.cmp(&b.0));
        state
    }

    /// Copies `state` into the model.
    ///
    /// # Errors
    /// When names or shapes differ from the model's; nothing is changed then.
    pub fn load_state_dict(&self, state: &[(String, Tensor)]) -> Result<(), StateDictError> {
        self.registry.load(state)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;
    use ybox_spec::architecture::PUBLISHED_PARAMETERS;

    use super::super::{Graph, Scale};
    use super::*;

    fn model(name: &str, nc: i64) -> Yolo12 {
        let spec = ModelSpec::parse(name, nc).unwrap();
        Yolo12::new(spec, AttentionPath::Flash, Device::Cpu).unwrap()
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        assert_eq!(PUBLISHED_PARAMETERS.len(), Graph::ALL.len() * Scale::ALL.len());
        for (name, count) in PUBLISHED_PARAMETERS {
            assert_eq!(model(name, 80).parameter_count() as u64, count, "{name}");
        }
    }

    #[test]
    fn a_state_dict_tells_its_graph() {
        let published = ModelSpec::parse("yolo12n", 3).unwrap();
        for spec in [published, published.with_residual_scaling()] {
            let model = Yolo12::new(spec, AttentionPath::Flash, Device::Cpu).unwrap();
            let state = model.state_dict();
            let names = || state.iter().map(|(name, _)| name.as_str());
            assert_eq!(names().any(|name| name == "model.6.gamma"), spec.residual_scaling);
            assert_eq!(published.that_has(names()), spec);
        }
    }

    #[test]
    fn raw_maps_have_a_cell_per_stride() {
        let model = model("yolov12n", 3);
        model.init(0);
        let images = Tensor::zeros([2, 3, 64, 96], (Kind::Float, Device::Cpu));
        let raw = tch::no_grad(|| model.forward(&images, Mode::Eval));
        let shapes = raw.map(|map| map.size());
        assert_eq!(shapes, [[2, 67, 8, 12], [2, 67, 4, 6], [2, 67, 2, 3]]);
    }

    #[test]
    fn a_state_dict_that_does_not_fit_changes_nothing_and_is_explained() {
        let model = model("yolov12n", 3);
        model.init(1);
        let mut state: Vec<_> =
            model.state_dict().into_iter().map(|(name, t)| (name, t.zeros_like())).collect();
        state[0].0 = "stray".into();
        state[1].1 = Tensor::zeros([5], (Kind::Float, Device::Cpu));
        let error = model.load_state_dict(&state).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the weights do not fit the model: 1 missing (model.0.bn.bias); 1 unexpected (stray); \
             1 of another shape (model.0.bn.num_batches_tracked is [5], not [])"
        );
        let untouched = |(_, tensor): &(String, Tensor)| tensor.count_nonzero(None::<i64>);
        let nonzero: i64 =
            model.state_dict().iter().map(|entry| i64::try_from(untouched(entry)).unwrap()).sum();
        assert!(nonzero > 2_000_000);
    }

    #[test]
    fn frozen_layers_have_no_gradients_and_keep_their_statistics() {
        let model = model("yolov12n", 3);
        model.init(0);
        model.freeze(&Freeze::Listed(vec![0, 1, 6]));
        let state = || -> Vec<(String, Tensor)> {
            model.state_dict().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
        };
        let before = state();
        let images = Tensor::ones([2, 3, 64, 64], (Kind::Float, Device::Cpu));
        let raw = model.forward(&images, Mode::Train);
        raw.iter().map(|map| map.sum(Kind::Float)).sum::<Tensor>().backward();
        let frozen =
            |name: &str| ["model.0.", "model.1.", "model.6."].iter().any(|p| name.starts_with(p));
        for parameter in model.parameters() {
            assert_eq!(parameter.tensor.grad().defined(), !frozen(&parameter.name));
        }
        for ((name, was), (_, is)) in before.iter().zip(state()) {
            let statistic = name.contains("running") || name.contains("num_batches");
            assert_eq!(*was == is, !statistic || frozen(name), "{name}");
        }
    }

    #[test]
    fn auto_is_refused() {
        let spec = ModelSpec::parse("yolov12n", 1).unwrap();
        let error = Yolo12::new(spec, AttentionPath::Auto, Device::Cpu).unwrap_err();
        assert_eq!(error, ModelError::AttentionUnsettled);
    }
}
