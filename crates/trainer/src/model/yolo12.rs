//! The assembled model.

use tch::{Device, Tensor};
use ybox_spec::config::AttentionPath;

use super::Mode;
use super::detect::Detect;
use super::graph::{self, Layer};
use super::params::{Buffer, Parameter, Registry, StateDictError};
use super::spec::ModelSpec;

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
    layers: Vec<Layer>,
    head: Detect,
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
        let layers = graph::layers(&registry, &spec, attention);
        let [_, _, c3, c4, c5] = spec.scale.channels();
        let head = Detect::new(&registry.scope("model.21"), [c3, c4, c5], spec.nc);
        Ok(Self { spec, registry, layers, head })
    }

    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Sets every tensor to its initial value. The bits follow from `seed` alone.
    pub fn init(&self, seed: u64) {
        self.registry.init(seed);
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
    /// 20.
    pub fn forward_seen(
        &self,
        images: &Tensor,
        mode: Mode,
        see: impl FnMut(usize, &Tensor),
    ) -> [Tensor; 3] {
        let features = graph::run(&self.layers, images, mode, see);
        self.head.forward(features.each_ref(), mode)
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
