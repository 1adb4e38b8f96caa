//! A line of a YOLO label file: `class cx cy w h`, or `class x1 y1 x2 y2 ...`, of which a reader
//! takes the bounds as the box.

use std::fmt::Write;

use super::digits::{is_box_of, is_same_share, shortest};
use crate::ExactObject;
use crate::shares::{centre_and_size, rounded_box};
use crate::yolo::{corners_of_box, corners_of_points};

/// Decimals that other tools write.
const USUAL: usize = 6;

/// The line, without its end. An outline stands for its object where it has an [`outline_box`].
pub fn line(object: &ExactObject) -> String {
    let texts = match outline_box(&object.polygon) {
        Some(corners) => outline(object, corners),
        None => {
            let values = centre_and_size(object.corners);
            shortest(values, USUAL, |read| is_box_of(object, corners_of_box(&read))).into()
        }
    };
    let mut line = object.class.to_string();
    texts.iter().for_each(|text| write!(line, " {text}").expect("a string takes everything"));
    line
}

/// The points of an outline whose bounds are `corners`. Each as short as its own bits allow, unless
/// that gives another box: then those that make the box in full, or else all.
fn outline(object: &ExactObject, corners: [f64; 4]) -> Vec<String> {
    let bounds = ExactObject { class: object.class, corners, polygon: Vec::new() };
    let short = |share: f64| {
        let [text] = shortest([share], USUAL, |[read]| is_same_share(read, share));
        text
    };
    let bound = |share: f64| match corners.contains(&share) {
        true => share.to_string(),
        false => short(share),
    };
    let shares: Vec<f64> = object.polygon.iter().flatten().copied().collect();
    let written = |text: &dyn Fn(f64) -> String| shares.iter().map(|share| text(*share)).collect();
    let is_same = |texts: &Vec<String>| {
        let read = texts.iter().map(|text| text.parse().expect("it was a number"));
        let points: Vec<f64> = read.collect();
        is_box_of(&bounds, corners_of_points(points.as_chunks().0))
    };
    let forms: [&dyn Fn(f64) -> String; 2] = [&short, &bound];
    let fitting = forms.iter().map(|form| written(form)).find(is_same);
    fitting.unwrap_or_else(|| written(&|share| share.to_string()))
}

/// Left, top, right, bottom of the points; none where there are none, or they enclose nothing.
pub fn outline_box(polygon: &[[f64; 2]]) -> Option<[f64; 4]> {
    let corners = corners_of_points(polygon);
    let [_, _, width, height] = rounded_box(corners);
    (polygon.len() >= 3 && width > 0.0 && height > 0.0).then_some(corners)
}
