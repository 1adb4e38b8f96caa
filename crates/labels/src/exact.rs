//! Objects with the numbers of their files, not yet rounded to the 32 bits that a trainer takes:
//! what a label in another form is written from.

use super::shares::rounded_box;
use super::{Labels, Object, Polygon, Problem};

/// What is on a picture, in full precision.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExactLabels {
    pub objects: Vec<ExactObject>,
    pub problems: Vec<Problem>,
    /// As in [`Labels`].
    pub ignored: u64,
    /// As in [`Labels`].
    pub usable: bool,
}

/// One labelled object, as far as it lies inside the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactObject {
    pub class: u32,
    /// Left, top, right, bottom edge as shares of the picture.
    pub corners: [f64; 4],
    /// Points (x, y) as shares of the picture; empty where the label is a mere box.
    pub polygon: Vec<[f64; 2]>,
}

impl ExactObject {
    /// The box of the normal form.
    pub fn rounded(&self) -> Object {
        Object { class: self.class, bbox: rounded_box(self.corners) }
    }
}

impl From<ExactLabels> for Labels {
    fn from(exact: ExactLabels) -> Self {
        let ExactLabels { objects, problems, ignored, usable } = exact;
        let polygon = |object: &ExactObject| -> Polygon {
            object.polygon.iter().map(|point| point.map(|v| v as f32)).collect()
        };
        Self {
            polygons: objects.iter().map(polygon).collect(),
            objects: objects.iter().map(ExactObject::rounded).collect(),
            problems,
            ignored,
            usable,
        }
    }
}
