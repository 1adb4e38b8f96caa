//! Boxes as shares of the picture: what lies outside, and what remains inside.

use super::{Code, Finding, Object};

/// How far a number may lie outside 0 to 1 and still be taken for a rounding error.
const TOLERANCE: f64 = 0.01;

pub fn within_tolerance(value: f64) -> bool {
    (-TOLERANCE..=1.0 + TOLERANCE).contains(&value)
}

/// What is inside the picture of a box with the corners left, top, right, bottom; with a finding
/// when it had to be clipped by more than a rounding error.
pub fn fit(corners: [f64; 4]) -> Result<([f64; 4], Option<Finding>), Finding> {
    let inside = corners.map(|v| v.clamp(0.0, 1.0));
    let bbox = rounded_box(inside);
    if !(bbox[2] > 0.0 && bbox[3] > 0.0) {
        let message =
            format!("the box is {} wide and {} high; the line is dropped", bbox[2], bbox[3]);
        return Err((Code::ZeroSize, message));
    }
    let overshoots = !corners.into_iter().all(within_tolerance);
    let clipped = overshoots.then(|| {
        (Code::BoxClipped, "the box reaches beyond the picture; it is clipped".to_owned())
    });
    Ok((inside, clipped))
}

/// Identity of an object, for finding repetitions.
pub fn key(object: &Object) -> (u32, [u32; 4]) {
    (object.class, object.bbox.map(f32::to_bits))
}

/// Of a box with the corners left, top, right, bottom.
pub fn centre_and_size([left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
    [(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top]
}

/// The same in the 32 bits of the normal form.
pub fn rounded_box(corners: [f64; 4]) -> [f32; 4] {
    centre_and_size(corners).map(|v| v as f32)
}
