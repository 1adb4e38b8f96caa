//! A line of a YOLO label file: `class cx cy w h`, or `class x1 y1 x2 y2 ...`, of which a reader
//! takes the bounds as the box.

use std::fmt::Write;

use super::digits::{is_box_of, is_same_share, shortest};
use crate::ExactObject;
use crate::shares::centre_and_size;
use crate::yolo::{corners_of_box, corners_of_points};

/// Decimals that other tools write.
const USUAL: usize = 6;

/// The line, without its end. An outline stands for its object where it has an [`outline_box`].
pub fn line(object: &ExactObject) -> String {
    let mut line = object.class.to_string();
    let mut add = |text: &str| write!(line, " {text}").expect("a string takes everything");
    if outline_box(&object.polygon).is_some() {
        for share in object.polygon.iter().flatten() {
            let [text] = shortest([*share], USUAL, |[read]| is_same_share(read, *share));
            add(&text);
        }
        return line;
    }
    let [left, top, right, bottom] = object.corners;
    let values = [(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top];
    let texts = shortest(values, USUAL, |read| is_box_of(object, corners_of_box(&read)));
    texts.iter().for_each(|text| add(text));
    line
}

/// Left, top, right, bottom of the points; none where there are none, or they enclose nothing.
pub fn outline_box(polygon: &[[f64; 2]]) -> Option<[f64; 4]> {
    let corners = corners_of_points(polygon);
    let [_, _, width, height] = centre_and_size(corners);
    (polygon.len() >= 3 && width > 0.0 && height > 0.0).then_some(corners)
}
