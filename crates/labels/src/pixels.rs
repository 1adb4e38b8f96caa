//! Labels in pixels, as COCO and Pascal VOC have them, to shares of the picture. Pixels are those
//! of the upright picture, with 0 at its left and top edge.

use std::collections::HashSet;
use std::fmt;

use super::shares::{fit, key, within_tolerance};
use super::{Code, ExactLabels, ExactObject, Finding, Problem};

/// What an annotation file says of a picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PixelLabels {
    /// Relative to the data set's root.
    pub file: String,
    /// Width and height of the picture, where the file says them.
    pub size: Option<(u32, u32)>,
    pub objects: Vec<PixelObject>,
    pub problems: Vec<Problem>,
    pub ignored: u64,
}

/// One object. Its numbers are finite.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelObject {
    pub class: u32,
    /// Left, top, right, bottom edge.
    pub corners: [f64; 4],
    /// Points (x, y); empty where there is a mere box.
    pub polygon: Vec<[f64; 2]>,
    /// Where the file says so.
    pub line: Option<u64>,
    pub place: Place,
}

/// Where an object stands in its file, like `annotations[3]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub list: &'static str,
    pub index: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.list, self.index)
    }
}

impl PixelLabels {
    /// The labels of a picture of `width` by `height` pixels.
    pub fn scale(self, width: u32, height: u32) -> ExactLabels {
        let mut labels = ExactLabels {
            problems: self.problems,
            ignored: self.ignored,
            usable: true,
            ..ExactLabels::default()
        };
        let file = self.file;
        if let Some((w, h)) = self.size.filter(|size| *size != (width, height)) {
            let message = format!(
                "the picture is said to have {w}x{h} pixels, but has {width}x{height}; it is left out"
            );
            labels.problems.push(Problem { code: Code::SizeDiffers, file, line: None, message });
            labels.usable = false;
            return labels;
        }
        let size = [f64::from(width), f64::from(height)];
        let mut seen = HashSet::new();
        for object in self.objects {
            let PixelObject { line, place, .. } = object;
            let mut report = |(code, message): Finding| {
                let message = format!("{place}: {message}");
                labels.problems.push(Problem { code, file: file.clone(), line, message });
            };
            match shares(object, size) {
                Ok((kept, _)) if !seen.insert(key(&kept.rounded())) => {
                    report((Code::Duplicate, "it repeats an earlier one; one is kept".into()));
                }
                Ok((kept, findings)) => {
                    findings.into_iter().for_each(&mut report);
                    labels.objects.push(kept);
                }
                Err(finding) => report(finding),
            }
        }
        labels
    }
}

/// An object in shares, and what was changed.
type Fitted = (ExactObject, Vec<Finding>);

fn shares(object: PixelObject, [width, height]: [f64; 2]) -> Result<Fitted, Finding> {
    let [left, top, right, bottom] = object.corners;
    if !(right > left && bottom > top) {
        let (w, h) = (right - left, bottom - top);
        return Err((Code::ZeroSize, format!("the box is {w} wide and {h} high; it is dropped")));
    }
    if left >= width || top >= height || right <= 0.0 || bottom <= 0.0 {
        let message = format!(
            "the box from ({left}, {top}) to ({right}, {bottom}) lies outside the picture of \
             {width}x{height} pixels; it is dropped"
        );
        return Err((Code::OutsidePicture, message));
    }
    let corners = [left / width, top / height, right / width, bottom / height];
    let (corners, clipped) = fit(corners)?;
    let mut findings = Vec::from_iter(clipped);
    let mut polygon = object.polygon;
    polygon.iter_mut().for_each(|[x, y]| (*x, *y) = (*x / width, *y / height));
    let inside = polygon.iter().flatten().all(|v| within_tolerance(*v));
    if !inside {
        let message = "the outline leaves the picture; only the box is used".to_owned();
        findings.push((Code::PolygonDropped, message));
        polygon = Vec::new();
    }
    polygon.iter_mut().flatten().for_each(|v| *v = v.clamp(0.0, 1.0));
    Ok((ExactObject { class: object.class, corners, polygon }, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(objects: &[[f64; 4]]) -> PixelLabels {
        let objects = objects.iter().enumerate().map(|(i, corners)| PixelObject {
            class: 0,
            corners: *corners,
            polygon: Vec::new(),
            line: Some(7),
            place: Place { list: "object", index: i },
        });
        PixelLabels { size: Some((200, 100)), objects: objects.collect(), ..PixelLabels::default() }
    }

    #[test]
    fn boxes_become_shares_and_bad_ones_problems() {
        let cases = [
            [20.0, 10.0, 60.0, 30.0],
            [20.0, 10.0, 60.0, 30.0],
            [150.0, 50.0, 250.0, 101.0],
            [5.0, 5.0, 5.0, 9.0],
            [200.0, 0.0, 210.0, 9.0],
            [-0.5, 0.0, 20.0, 10.0],
        ];
        let labels = labels(&cases).scale(200, 100);
        let boxes: Vec<_> = labels.objects.iter().map(|o| o.rounded().bbox).collect();
        assert_eq!(boxes[0], [0.2, 0.2, 0.2, 0.2]);
        assert_eq!(boxes[1], [0.875, 0.75, 0.25, 0.5]);
        assert_eq!(boxes[2], [0.05, 0.05, 0.1, 0.1]);
        let codes: Vec<_> = labels.problems.iter().map(|p| (p.code, p.line)).collect();
        let expected = [Code::Duplicate, Code::BoxClipped, Code::ZeroSize, Code::OutsidePicture];
        assert_eq!(codes, expected.map(|code| (code, Some(7))));
        assert!(labels.problems[1].message.starts_with("object[2]: the box reaches"));
    }

    #[test]
    fn a_picture_of_another_size_is_left_out() {
        let labels = labels(&[[20.0, 10.0, 60.0, 30.0]]).scale(100, 200);
        assert!(!labels.usable && labels.objects.is_empty());
        assert_eq!(labels.problems[0].code, Code::SizeDiffers);
    }
}
