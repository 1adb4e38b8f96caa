//! The head as nodes: raw predictions, boxes from them, and the choice among boxes that overlap.

use ybox_spec::config::Nms;

use super::builder::{Builder, DENSE, Map};
use super::onnx::{Attribute, ValueInfo};
use crate::model::{BOX_CHANNELS, DFL_BINS, STRIDES};

pub const OUTPUT: &str = "output0";

const AT: &str = "model.21";
/// TensorProto's number of fp32.
const FLOAT: i64 = 1;

/// Predictions on all cells, by level and within a level row by row.
pub struct Decoded {
    /// Corners of the boxes in cells, `[1, 2, cells]`: x and y.
    near: String,
    far: String,
    /// Input pixels per cell, `[1, 1, cells]`.
    pixels: Vec<f32>,
    /// Probabilities, `[1, classes, cells]`.
    scores: String,
    classes: i64,
}

/// Adds the head on the three levels.
pub fn decoded(g: &mut Builder, levels: &[Map; 3]) -> Decoded {
    let branches = [0, 1, 2].map(|i| (boxes(g, i, &levels[i]), classes(g, i, &levels[i])));
    let nc = branches[0].1.c;
    let [b0, b1, b2] = branches.each_ref().map(|(boxes, _)| flat(g, boxes));
    let [c0, c1, c2] = branches.each_ref().map(|(_, classes)| flat(g, classes));
    let logits = g.concat(&[&b0, &b1, &b2], 2);
    let scores = g.concat(&[&c0, &c1, &c2], 2);
    let (centres, pixels) = cells(levels);
    let count = pixels.len() as i64;
    let centres = g.floats("centres", &[1, 2, count], &centres);
    let [left_top, right_bottom] = distances(g, &logits, count);
    Decoded {
        near: g.node("Sub", &[&centres, &left_top], vec![]),
        far: g.add(&centres, &right_bottom),
        pixels,
        scores: g.node("Sigmoid", &[&scores], vec![]),
        classes: nc,
    }
}

fn boxes(g: &mut Builder, level: usize, x: &Map) -> Map {
    let at = format!("{AT}.cv2.{level}");
    let x = g.conv(&format!("{at}.0"), x, DENSE);
    let x = g.conv(&format!("{at}.1"), &x, DENSE);
    g.biased_conv(&format!("{at}.2"), &x)
}

fn classes(g: &mut Builder, level: usize, x: &Map) -> Map {
    let at = format!("{AT}.cv3.{level}");
    let convs = ["0.0", "0.1", "1.0", "1.1"];
    let x = convs.iter().fold(x.clone(), |x, conv| g.conv(&format!("{at}.{conv}"), &x, DENSE));
    g.biased_conv(&format!("{at}.2"), &x)
}

/// `[1, c, h, w]` -> `[1, c, h * w]`
fn flat(g: &mut Builder, map: &Map) -> String {
    g.reshape(&map.name, &[1, map.c, map.h * map.w])
}

/// Centres of the cells in cells, all x and then all y, and the pixels per cell.
fn cells(levels: &[Map; 3]) -> (Vec<f32>, Vec<f32>) {
    let (mut x, mut y, mut pixels) = (Vec::new(), Vec::new(), Vec::new());
    for (level, stride) in levels.iter().zip(STRIDES) {
        for (row, column) in (0..level.h).flat_map(|row| (0..level.w).map(move |c| (row, c))) {
            x.push(column as f32 + 0.5);
            y.push(row as f32 + 0.5);
            pixels.push(stride as f32);
        }
    }
    ([x, y].concat(), pixels)
}

/// Expected distances of left and top, and of right and bottom: `[1, 2, cells]` each.
fn distances(g: &mut Builder, logits: &str, cells: i64) -> [String; 2] {
    let logits = g.reshape(logits, &[1, BOX_CHANNELS / DFL_BINS, DFL_BINS, cells]);
    let logits = g.transpose(&logits, &[0, 1, 3, 2]);
    let chances = g.node("Softmax", &[&logits], vec![Attribute::int("axis", -1)]);
    let bins = g.take(&format!("{AT}.dfl.conv.weight")).values;
    let bins = g.floats("bins", &[DFL_BINS, 1], &bins);
    let expected = g.node("MatMul", &[&chances, &bins], vec![]);
    let expected = g.reshape(&expected, &[1, 4, cells]);
    g.split(&expected, 1, 2)
}

/// Adds the output of all predictions, `[1, 4 + classes, cells]`: centre x, centre y, width and
/// height in pixels, then the probabilities.
pub fn all_predictions(g: &mut Builder, found: &Decoded) -> (ValueInfo, Vec<i64>) {
    let count = found.pixels.len() as i64;
    let halves: Vec<f32> = found.pixels.iter().map(|pixels| pixels / 2.0).collect();
    let pixels = g.floats("pixels", &[1, 1, count], &found.pixels);
    let half_pixels = g.floats("half_pixels", &[1, 1, count], &halves);
    let sum = g.add(&found.near, &found.far);
    let centre = g.mul(&sum, &half_pixels);
    let difference = g.node("Sub", &[&found.far, &found.near], vec![]);
    let size = g.mul(&difference, &pixels);
    let output = g.concat(&[&centre, &size, &found.scores], 1);
    finish(g, &output, &[1, 4 + found.classes, count])
}

/// Adds non-maximum suppression and the output of what it keeps, `[1, max_det, 6]`: left, top,
/// right and bottom in pixels, score, class; best first, and rows of zeros where there is no more.
pub fn kept_predictions(g: &mut Builder, found: &Decoded, nms: &Nms) -> (ValueInfo, Vec<i64>) {
    let most = i64::from(nms.max_det);
    let pixels = g.floats("pixels", &[1, 1, found.pixels.len() as i64], &found.pixels);
    let corners = g.concat(&[&found.near, &found.far], 1);
    let corners = g.mul(&corners, &pixels);
    let corners = g.transpose(&corners, &[0, 2, 1]);
    let rows = suppressed(g, &corners, &found.scores, nms);

    // With `most` more rows there are always enough to take the best of, however few were kept.
    let zeros = g.floats("no_more", &[most, 6], &vec![0.0; 6 * nms.max_det as usize]);
    let rows = g.concat(&[&rows, &zeros], 0);
    let score_column = g.int(4);
    let scores = g.node("Gather", &[&rows, &score_column], vec![Attribute::int("axis", 1)]);
    let count = g.ints(&[most]);
    let [_, best]: [String; 2] = g.nodes("TopK", &[&scores, &count], vec![]);
    let output = g.node("Gather", &[&rows, &best], vec![]);
    let output = g.reshape(&output, &[1, most, 6]);
    finish(g, &output, &[1, most, 6])
}

/// The rows that NonMaxSuppression selects, class by class: `[selected, 6]`.
fn suppressed(g: &mut Builder, corners: &str, scores: &str, nms: &Nms) -> String {
    let most = g.ints(&[i64::from(nms.max_det)]);
    let iou = g.floats("iou", &[1], &[nms.iou as f32]);
    let conf = g.floats("conf", &[1], &[nms.conf as f32]);
    // Rows of batch, class, cell.
    let selected = g.node("NonMaxSuppression", &[corners, scores, &most, &iou, &conf], vec![]);
    let column = |g: &mut Builder, index| {
        let index = g.ints(&[index]);
        g.node("Gather", &[&selected, &index], vec![Attribute::int("axis", 1)])
    };
    let class = column(g, 1);
    let class = g.node("Cast", &[&class], vec![Attribute::int("to", FLOAT)]);
    let cell = column(g, 2);
    let cell = g.reshape(&cell, &[-1]);
    let boxes = g.reshape(corners, &[-1, 4]);
    let boxes = g.node("Gather", &[&boxes, &cell], vec![]);
    let score = g.node("GatherND", &[scores, &selected], vec![]);
    let score = g.reshape(&score, &[-1, 1]);
    g.concat(&[&boxes, &score, &class], 1)
}

fn finish(g: &mut Builder, value: &str, shape: &[i64]) -> (ValueInfo, Vec<i64>) {
    let last = g.nodes.last_mut().expect("the value was just computed");
    debug_assert_eq!(last.output, [value]);
    last.output = vec![OUTPUT.to_owned()];
    (ValueInfo::floats(OUTPUT, shape), shape.to_vec())
}
