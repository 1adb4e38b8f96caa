//! From decoded predictions to detections and their metrics. It works on plain numbers, on the
//! CPU; running the model and turning boxes back into the picture's pixels are left to others.

mod confidence;
mod confusion;
pub mod metrics;
pub mod nms;
mod truth;

pub use confusion::Confusion;
pub use metrics::{ClassCurves, EvalError, Evaluator};
pub use nms::{Detection, Labels, Nms, suppress};
pub use truth::Truth;

/// Intersection over union of two boxes given by their corners.
fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let area = |x: &[f64; 4]| (x[2] - x[0]) * (x[3] - x[1]);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.);
    let overlap = width * height;
    if overlap > 0. { overlap / (area(a) + area(b) - overlap) } else { 0. }
}
