//! Parsing a YOLO label file: one object per line, `class cx cy w h`, or a polygon
//! `class x1 y1 x2 y2 ...`, which is kept beside its bounding box; numbers are shares of the
//! picture's width and height. What is wrong with a line is a [`Problem`], whose module has the rules.

use std::collections::HashSet;

use super::shares::{fit, key, within_tolerance};
use super::{Code, ExactLabels, ExactObject, Finding, Problem};

/// Parses the content of label file `file`; valid classes are below `classes`.
pub fn parse(file: &str, bytes: &[u8], classes: u32) -> ExactLabels {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return not_utf8(file);
    };
    let mut labels = ExactLabels { usable: true, ..ExactLabels::default() };
    let mut seen = HashSet::new();
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let mut report = |(code, message): Finding| {
            labels.problems.push(Problem {
                code,
                file: file.to_owned(),
                line: Some(i as u64 + 1),
                message,
            });
        };
        match parse_line(line, classes) {
            Ok(None) => {}
            Ok(Some((object, _))) if !seen.insert(key(&object.rounded())) => {
                report((Code::Duplicate, "the line repeats an earlier one; one is kept".into()));
            }
            Ok(Some((object, clipped))) => {
                labels.objects.push(object);
                clipped.into_iter().for_each(report);
            }
            Err(finding) => report(finding),
        }
    }
    labels
}

/// What a line says; with a finding when it had to be clipped.
type Line = (ExactObject, Option<Finding>);

fn not_utf8(file: &str) -> ExactLabels {
    let problem = Problem {
        code: Code::LabelNotUtf8,
        file: file.to_owned(),
        line: None,
        message: "the label file is not UTF-8 text; its picture is left out".into(),
    };
    ExactLabels { problems: vec![problem], ..ExactLabels::default() }
}

/// None for a blank line.
fn parse_line(line: &str, classes: u32) -> Result<Option<Line>, Finding> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let numbers = fields.iter().map(|field| number(field)).collect::<Result<Vec<f64>, _>>()?;
    let (corners, polygon) = match numbers.len() {
        5 => (corners_of_box(&numbers[1..]), Vec::new()),
        n if n >= 7 && n % 2 == 1 => {
            let points = numbers[1..].as_chunks::<2>().0;
            (corners_of_points(points), polygon(points))
        }
        n => return Err((Code::FieldCount, field_count(n))),
    };
    let class = class(numbers[0], classes)?;
    if let Some(bad) = numbers[1..].iter().find(|v| !within_tolerance(**v)) {
        let message = format!("{bad} is not between 0 and 1; the line is dropped");
        return Err((Code::OutsidePicture, message));
    }
    let (corners, clipped) = fit(corners)?;
    Ok(Some((ExactObject { class, corners, polygon }, clipped)))
}

fn number(field: &str) -> Result<f64, Finding> {
    let value: f64 = field.parse().map_err(|_| {
        let shown: String = field.chars().take(40).collect();
        (Code::NotANumber, format!("`{shown}` is not a number; the line is dropped"))
    })?;
    if value.is_finite() {
        return Ok(value);
    }
    Err((Code::NotFinite, format!("`{field}` is not a finite number; the line is dropped")))
}

fn field_count(n: usize) -> String {
    format!(
        "{n} fields are neither a box (class cx cy w h) nor a polygon (class and at least three \
         points); the line is dropped"
    )
}

fn class(value: f64, classes: u32) -> Result<u32, Finding> {
    if value < 0.0 || value.fract() != 0.0 {
        let message = format!("class {value} is not a class index; the line is dropped");
        return Err((Code::ClassNotInteger, message));
    }
    if value >= f64::from(classes) {
        let message = format!(
            "class {value} is not below the number of classes, {classes}; the line is dropped"
        );
        return Err((Code::ClassOutOfRange, message));
    }
    Ok(value as u32)
}

/// Left, top, right, bottom.
pub(crate) fn corners_of_box(cxcywh: &[f64]) -> [f64; 4] {
    let (half_w, half_h) = (cxcywh[2] / 2.0, cxcywh[3] / 2.0);
    [cxcywh[0] - half_w, cxcywh[1] - half_h, cxcywh[0] + half_w, cxcywh[1] + half_h]
}

/// Left, top, right, bottom.
pub(crate) fn corners_of_points(points: &[[f64; 2]]) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    points
        .iter()
        .fold(start, |b, p| [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])])
}

/// As far as they lie inside the picture.
fn polygon(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    points.iter().map(|point| point.map(|v| v.clamp(0.0, 1.0))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Labels;

    fn codes(text: &str) -> Vec<(Code, Option<u64>)> {
        parse("f.txt", text.as_bytes(), 3).problems.iter().map(|p| (p.code, p.line)).collect()
    }

    fn boxes(text: &str) -> Vec<(u32, [f32; 4])> {
        let labels = Labels::from(parse("f.txt", text.as_bytes(), 3));
        labels.objects.iter().map(|o| (o.class, o.bbox)).collect()
    }

    #[test]
    fn every_bad_line_has_its_code_and_line_and_the_good_ones_stay() {
        let cases = [
            ("1 0.5 0.5 0.2", Code::FieldCount),
            ("1 0.5 0.5 0.2 0.2 0.9", Code::FieldCount),
            ("1 0.5 0.5 0.2 0.2 0.9 0.1 0.1", Code::FieldCount),
            ("RBC 0.5 0.5 0.2 0.2", Code::NotANumber),
            ("1 0.5 0,5 0.2 0.2", Code::NotANumber),
            ("1 NaN 0.5 0.2 0.2", Code::NotFinite),
            ("1 0.5 0.5 inf 0.2", Code::NotFinite),
            ("1.5 0.5 0.5 0.2 0.2", Code::ClassNotInteger),
            ("-1 0.5 0.5 0.2 0.2", Code::ClassNotInteger),
            ("3 0.5 0.5 0.2 0.2", Code::ClassOutOfRange),
            ("99999999999 0.5 0.5 0.2 0.2", Code::ClassOutOfRange),
            ("1 1.02 0.5 0.2 0.2", Code::OutsidePicture),
            ("1 -0.02 0.5 0.2 0.2", Code::OutsidePicture),
            ("1 320 240 20 20", Code::OutsidePicture),
            ("1 0.5 0.5 0 0.2", Code::ZeroSize),
            ("1 0.5 0.5 0.2 0", Code::ZeroSize),
            ("1 0.5 0.5 -0.005 0.2", Code::ZeroSize),
            ("1 0.1 0.2 0.3 0.2 0.4 0.2", Code::ZeroSize),
        ];
        for (line, code) in cases {
            let text = format!("0 0.5 0.5 0.1 0.1\n{line}\n2 0.5 0.5 0.1 0.1\n");
            assert_eq!(codes(&text), [(code, Some(2))], "{line}");
            assert_eq!(boxes(&text).iter().map(|b| b.0).collect::<Vec<_>>(), [0, 2], "{line}");
        }
    }

    #[test]
    fn small_overshoots_are_clipped_in_silence_and_large_ones_reported() {
        assert_eq!(codes("0 0.9 0.5 0.21 0.2"), []);
        let [(_, bbox)] = boxes("0 0.9 0.5 0.21 0.2")[..] else { panic!("one box") };
        assert!((bbox[0] + bbox[2] / 2.0 - 1.0).abs() < 1e-6, "{bbox:?}");
        assert_eq!(codes("0 1.005 0.5 0.2 0.2"), [(Code::BoxClipped, Some(1))]);
        assert_eq!(boxes("0 1.0 0.5 0.2 0.2"), [(0, [0.95, 0.5, 0.1, 0.2])]);
    }

    #[test]
    fn a_repeated_line_is_kept_once() {
        assert_eq!(
            codes("0 .5 .5 .1 .1\n0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n0 0.5 0.50 0.1 0.1"),
            [(Code::Duplicate, Some(2)), (Code::Duplicate, Some(4))]
        );
        assert_eq!(boxes("0 .5 .5 .1 .1\n0 .5 .5 .1 .1\n1 .5 .5 .1 .1").len(), 2);
    }

    #[test]
    fn a_polygon_is_kept_beside_its_bounding_box() {
        assert_eq!(boxes("1 0.25 0.5 0.75 0.25 0.5 0.75"), [(1, [0.5, 0.5, 0.5, 0.5])]);
        let text = "0 .5 .5 .1 .1\nbad\n1 -0.005 0.5 0.75 0.25 0.5 0.75\n";
        let labels = Labels::from(parse("f.txt", text.as_bytes(), 3));
        assert_eq!(labels.polygons, [vec![], vec![[0.0, 0.5], [0.75, 0.25], [0.5, 0.75]]]);
    }

    #[test]
    fn harmless_variations_are_no_problem() {
        for text in
            ["", "\n\n", "\u{feff}0 .5 .5 .1 .1", "0 .5 .5 .1 .1 \r\n\r\n", "1.0\t.5 .5 .1 .1"]
        {
            let labels = parse("f.txt", text.as_bytes(), 3);
            assert_eq!(labels.problems, [], "{text:?}");
            assert!(labels.usable);
        }
        assert_eq!(boxes("\u{feff}0 .5 .5 .1 .1\r\n  2 .5 .5 .1 .1  \r\n").len(), 2);
    }

    #[test]
    fn a_file_that_is_not_text_is_one_problem() {
        let labels = parse("f.txt", b"\xff\xfe0\0 \0", 3);
        assert!(!labels.usable);
        assert_eq!(labels.problems.len(), 1);
        assert_eq!((labels.problems[0].code, labels.problems[0].line), (Code::LabelNotUtf8, None));
    }

    proptest! {
        #[test]
        fn never_panics_on_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse("f.txt", &bytes, 3);
        }

        #[test]
        fn what_is_kept_lies_inside_the_picture(text in "([-0-9.eEinfNa \n]|0\\.[0-9]){0,200}") {
            for object in Labels::from(parse("f.txt", text.as_bytes(), 3)).objects {
                let [cx, cy, w, h] = object.bbox;
                prop_assert!(object.class < 3);
                prop_assert!(w > 0.0 && h > 0.0);
                for edge in [cx - w / 2.0, cx + w / 2.0, cy - h / 2.0, cy + h / 2.0] {
                    prop_assert!((-1e-6..=1.000_001).contains(&edge), "{edge}");
                }
            }
        }
    }
}
