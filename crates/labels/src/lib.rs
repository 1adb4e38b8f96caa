//! What is on pictures, in one normal form: classes, boxes and outlines as shares of the picture,
//! read from YOLO's text files, COCO's JSON and Pascal VOC's XML, and written again. What is wrong
//! with an object costs that object alone and becomes a [`Problem`], whose module has the rules.
//!
//! Which files there are is for `ybox_spec::dataset`; reading and hashing them, and decoding
//! pictures, is the caller's.

pub mod coco;
mod exact;
mod lines;
mod numbering;
mod pixels;
mod problem;
mod shares;
pub mod voc;
pub mod write;
pub mod yolo;

pub use exact::{ExactLabels, ExactObject};
pub use numbering::{ImageId, category_ids};
pub use pixels::{PixelLabels, PixelObject, Place};
pub use problem::{Code, Problem};

/// One labelled object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    pub class: u32,
    /// Centre x, centre y, width, height as shares of the picture, inside it.
    pub bbox: [f32; 4],
}

/// The outline of an object: points (x, y) as shares of the picture, inside it. Empty where the
/// label is a mere box.
pub type Polygon = Vec<[f32; 2]>;

/// What is on a picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels {
    pub objects: Vec<Object>,
    /// As many as objects.
    pub polygons: Vec<Polygon>,
    pub problems: Vec<Problem>,
    /// Objects that the labels themselves say not to count: `iscrowd`, `difficult`.
    pub ignored: u64,
    /// False when the labels as a whole mean nothing, so that the picture should not be used.
    pub usable: bool,
}

/// A code, and the message that says what was found and what became of it.
type Finding = (Code, String);

/// Labels that may still need the size of their picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Unscaled {
    Shares(ExactLabels),
    Pixels(PixelLabels),
}

impl Unscaled {
    /// Labels of a picture without objects.
    pub fn background() -> Self {
        Self::Shares(ExactLabels { usable: true, ..ExactLabels::default() })
    }

    /// The labels of a picture of `width` by `height` pixels.
    pub fn scale(self, width: u32, height: u32) -> ExactLabels {
        match self {
            Self::Shares(labels) => labels,
            Self::Pixels(labels) => labels.scale(width, height),
        }
    }

    /// What is known to be wrong without the picture.
    pub fn into_problems(self) -> Vec<Problem> {
        match self {
            Self::Shares(labels) => labels.problems,
            Self::Pixels(labels) => labels.problems,
        }
    }
}

/// An annotation file that cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} cannot be used: {reason}")]
pub struct AnnotationError {
    /// Relative to the data set's root.
    pub file: String,
    /// Says where in the file, as far as that is known.
    pub reason: String,
}
