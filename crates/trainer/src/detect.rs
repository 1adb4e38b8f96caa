//! From one picture to its boxes: the one path that validation and prediction share, so that the
//! same picture gets the same boxes, bit for bit, in both. Pictures go through the network one at
//! a time: the bits of a batch would depend on its company.

use tch::{Device, Tensor, no_grad};
use torch_ext::Precision;
use ybox_spec::config;

use crate::data::Prepared;
use crate::error::TrainerError;
use crate::eval::nms::{Detection, Labels, Nms, suppress};
use crate::model::{Mode, STRIDES, Yolo12, decode};
use crate::{numerics, tensors};

pub struct Detector<'a> {
    pub model: &'a Yolo12,
    pub nms: &'a config::Nms,
    pub classes: Classes<'a>,
    pub device: Device,
    /// What the network is cast to.
    pub precision: Option<Precision>,
}

/// What becomes of the model's classes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Classes<'a> {
    /// Only these are found; all where it is empty.
    pub only: &'a [u32],
    /// All are one: boxes compete across classes, and are of class 0.
    pub single: bool,
}

impl Classes<'_> {
    fn has(&self, class: u32) -> bool {
        self.only.is_empty() || self.only.contains(&class)
    }
}

/// What the network says of a picture.
pub struct Detected {
    /// Corners in pixels of the original picture, best first.
    pub detections: Vec<Detection>,
    /// The raw maps, for a loss.
    pub raw: [Tensor; 3],
}

impl Detector<'_> {
    pub fn detect(&self, prepared: &Prepared) -> Result<Detected, TrainerError> {
        no_grad(|| {
            let image = tensors::image(prepared, self.device);
            let forward = || self.model.forward(&image, Mode::Eval);
            let raw = numerics::in_precision(self.precision, forward)?;
            let detections = self.boxes(&raw, prepared);
            Ok(Detected { detections, raw })
        })
    }

    fn boxes(&self, raw: &[Tensor; 3], prepared: &Prepared) -> Vec<Detection> {
        let decoded = decode(raw, STRIDES).to_device(Device::Cpu);
        let classes = self.model.spec().nc as usize;
        let mut values =
            Vec::<f32>::try_from(decoded.flatten(0, -1)).expect("decoded boxes are f32");
        let columns = values.len() / (4 + classes);
        for (class, scores) in (0..).zip(values[4 * columns..].chunks_exact_mut(columns)) {
            if !self.classes.has(class) {
                scores.fill(0.0);
            }
        }
        let nms = Nms { agnostic: self.classes.single, ..Nms::new(self.nms, Labels::Every) };
        let mut detections = suppress(&values, classes, &nms);
        for detection in &mut detections {
            if self.classes.single {
                detection.class = 0;
            }
            detection.bbox = prepared.placement.to_original(detection.bbox);
        }
        detections
    }
}
