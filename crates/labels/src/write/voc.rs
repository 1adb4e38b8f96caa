//! A Pascal VOC annotation of a picture. It holds boxes, with pixels counted from 1, and no
//! outlines.

use super::digits::{is_box_of, shortest};
use crate::ExactObject;

/// The file of the picture called `name` of `width` by `height` pixels.
pub fn file(
    name: &str,
    (width, height): (u32, u32),
    names: &[String],
    objects: &[ExactObject],
) -> String {
    let size = [f64::from(width), f64::from(height)];
    let objects: String = objects
        .iter()
        .map(|object| {
            let [left, top, right, bottom] = bounds(object, size);
            let class = escaped(&names[object.class as usize]);
            format!(
                "  <object>\n    <name>{class}</name>\n    <pose>Unspecified</pose>\n    \
                 <truncated>0</truncated>\n    <difficult>0</difficult>\n    <bndbox>\n      \
                 <xmin>{left}</xmin>\n      <ymin>{top}</ymin>\n      <xmax>{right}</xmax>\n      \
                 <ymax>{bottom}</ymax>\n    </bndbox>\n  </object>\n"
            )
        })
        .collect();
    format!(
        "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{}</filename>\n  <size>\n    \
         <width>{width}</width>\n    <height>{height}</height>\n    <depth>3</depth>\n  </size>\n  \
         <segmented>0</segmented>\n{objects}</annotation>\n",
        escaped(name)
    )
}

/// `xmin`, `ymin`, `xmax`, `ymax`. Whole pixels where the box has them.
fn bounds(object: &ExactObject, size: [f64; 2]) -> [String; 4] {
    let [left, top, right, bottom] = std::array::from_fn(|i| object.corners[i] * size[i % 2]);
    shortest([left + 1.0, top + 1.0, right, bottom], 0, |[left, top, right, bottom]| {
        let corners = [left - 1.0, top - 1.0, right, bottom];
        is_box_of(object, std::array::from_fn(|i| corners[i] / size[i % 2]))
    })
}

/// Whether a reader finds the class by this name again.
pub fn is_writable(class: &str) -> bool {
    !class.is_empty() && class.trim() == class && !class.chars().any(char::is_control)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
