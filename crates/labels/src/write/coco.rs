//! Entries of a COCO annotation file: JSON objects for pictures, objects and classes. Where they
//! stand in the file is the caller's.

use serde_json::{Value, json};

use super::digits::{is_box_of, is_same_share, shortest};
use crate::ExactObject;

/// Decimals of a pixel that COCO's own files have.
const USUAL: usize = 2;

/// A picture of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Image<'a> {
    pub id: u64,
    pub file_name: &'a str,
    /// Pixels.
    pub width: u32,
    pub height: u32,
}

/// An entry of `images`.
pub fn image(image: &Image) -> String {
    let Image { id, file_name, width, height } = image;
    json!({ "id": id, "file_name": file_name, "width": width, "height": height }).to_string()
}

/// An entry of `categories`.
pub fn category(id: u64, name: &str) -> String {
    json!({ "id": id, "name": name, "supercategory": Value::Null }).to_string()
}

/// An entry of `annotations`: number `id`, an object of class `category` on `picture`.
pub fn annotation(id: u64, category: u64, picture: &Image, object: &ExactObject) -> String {
    let size = [f64::from(picture.width), f64::from(picture.height)];
    let corners: [f64; 4] = std::array::from_fn(|i| object.corners[i] * size[i % 2]);
    let [left, top, right, bottom] = corners;
    let bbox = shortest([left, top, right - left, bottom - top], USUAL, |[x, y, w, h]| {
        let corners = [x, y, x + w, y + h];
        is_box_of(object, std::array::from_fn(|i| corners[i] / size[i % 2]))
    });
    let (outline, area) = match &object.polygon[..] {
        [] => (String::new(), (right - left) * (bottom - top)),
        polygon => (format!("[{}]", points(polygon, size)), area(polygon) * size[0] * size[1]),
    };
    let (image, bbox) = (picture.id, bbox.join(","));
    format!(
        r#"{{"id":{id},"image_id":{image},"category_id":{category},"bbox":[{bbox}],"area":{area},"iscrowd":0,"segmentation":[{outline}]}}"#
    )
}

/// `x1,y1,x2,y2` in pixels.
fn points(polygon: &[[f64; 2]], size: [f64; 2]) -> String {
    let texts = polygon.iter().flat_map(|point| [(point[0], size[0]), (point[1], size[1])]).map(
        |(share, side)| {
            let [text] =
                shortest([share * side], USUAL, |[read]| is_same_share(read / side, share));
            text
        },
    );
    texts.collect::<Vec<_>>().join(",")
}

/// The shoelace formula.
fn area(points: &[[f64; 2]]) -> f64 {
    let next = points.iter().cycle().skip(1);
    let twice: f64 = points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
    twice.abs() / 2.0
}
