//! The curves behind the metrics: precision over recall, and precision, recall and F1 over the
//! confidence threshold; a line for each class and one for their mean.

use ybox_spec::pictures;
use ybox_spec::scale::Scale;

use super::chart::{Chart, Legend, Line, stroke};
use crate::data::Picture;
use crate::eval::ClassCurves;
use ybox_picture::canvas::{Canvas, INK, Stroke};

/// With more classes only the mean has a name, and the others are thin grey lines.
const NAMED_CLASSES: usize = 18;

const SIZE: [u32; 2] = [1200, 800];

/// All four, with their names. Nothing without classes.
pub fn draw(curves: &[ClassCurves]) -> Vec<(&'static str, Picture)> {
    if curves.is_empty() {
        return Vec::new();
    }
    let of = |values: fn(&ClassCurves) -> Vec<f64>| -> Vec<Vec<f64>> {
        curves.iter().map(values).collect()
    };
    let precision_by_recall = of(|c| c.precision_by_recall.clone());
    let area = |values: &[f64]| format!("{:.3}", mean(values));
    let top = |values: &[f64]| {
        let (at, best) = highest(values);
        format!("{best:.2} at {at:.3}")
    };
    let end = |values: &[f64]| format!("{:.2} at 0", values.first().copied().unwrap_or(0.0));
    let names: Vec<_> = curves.iter().map(|c| c.name.as_str()).collect();
    let plot = |title, labels, values: &[Vec<f64>], note: &dyn Fn(&[f64]) -> String| {
        draw_one(title, labels, &names, values, note)
    };
    let over = |y| ["confidence", y];
    vec![
        (
            pictures::PR_CURVE,
            plot(
                "precision over recall (legend: mAP50)",
                ["recall", "precision"],
                &precision_by_recall,
                &area,
            ),
        ),
        (
            pictures::F1_CURVE,
            plot("F1 over confidence (legend: best F1)", over("F1"), &of(f1), &top),
        ),
        (
            pictures::P_CURVE,
            plot(
                "precision over confidence (legend: highest precision)",
                over("precision"),
                &of(|c| c.precision.clone()),
                &top,
            ),
        ),
        (
            pictures::R_CURVE,
            plot(
                "recall over confidence (legend: recall without a threshold)",
                over("recall"),
                &of(|c| c.recall.clone()),
                &end,
            ),
        ),
    ]
}

/// `values`: one curve for each of `names`, all of one length, in equal steps from 0 to 1.
fn draw_one(
    title: &str,
    [x_label, y_label]: [&str; 2],
    names: &[&str],
    values: &[Vec<f64>],
    note: &dyn Fn(&[f64]) -> String,
) -> Picture {
    let mut lines: Vec<_> =
        values.iter().enumerate().map(|(i, v)| class_line(i, values.len(), v)).collect();
    if names.len() <= NAMED_CLASSES {
        for ((line, name), values) in lines.iter_mut().zip(names).zip(values) {
            line.label = format!("{} {}", shortened(name), note(values));
        }
    }
    let steps = values.first().map_or(0, Vec::len);
    let average: Vec<f64> =
        (0..steps).map(|i| mean(&values.iter().map(|v| v[i]).collect::<Vec<_>>())).collect();
    // First, so that the thin lines of the classes are seen on it.
    let all = Line {
        label: format!("all classes {}", note(&average)),
        points: points(&average),
        stroke: Stroke { colour: INK, width: 5.0, dash: None },
    };
    lines.insert(0, all);
    let mut canvas = Canvas::new(SIZE[0], SIZE[1]);
    let area = canvas.area();
    let chart = Chart {
        title,
        x_label,
        y_label,
        x: Scale::of(0.0, 1.0),
        // A line at 1 is not to lie on the frame.
        y: Scale::of(0.0, 1.05),
        lines: &lines,
        legend: Legend::Beside,
    };
    chart.draw(&mut canvas, [area[0] + 8, area[1] + 10, area[2] - 8, area[3] - 8]);
    canvas.into_picture()
}

fn class_line(index: usize, classes: usize, values: &[f64]) -> Line {
    let stroke = match classes <= NAMED_CLASSES {
        true => stroke(index),
        false => Stroke { colour: [170, 176, 184], width: 1.0, dash: None },
    };
    Line { label: String::new(), points: points(values), stroke }
}

fn points(values: &[f64]) -> Vec<[f64; 2]> {
    let last = values.len().saturating_sub(1).max(1) as f64;
    values.iter().enumerate().map(|(i, &v)| [i as f64 / last, v]).collect()
}

fn f1(curves: &ClassCurves) -> Vec<f64> {
    let pairs = curves.precision.iter().zip(&curves.recall);
    pairs.map(|(p, r)| if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 }).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The first place, as a share of the range, where `values` is highest, and how high.
fn highest(values: &[f64]) -> (f64, f64) {
    let best = points(values).into_iter().reduce(|best, p| if p[1] > best[1] { p } else { best });
    best.map_or((0.0, 0.0), |[at, value]| (at, value))
}

/// `name`, cut to what a legend has room for.
pub fn shortened(name: &str) -> String {
    const ROOM: usize = 14;
    if name.chars().count() <= ROOM {
        return name.to_owned();
    }
    name.chars().take(ROOM - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(classes: usize) -> Vec<ClassCurves> {
        let of = |class: usize| {
            let falling = |power: i32| -> Vec<f64> {
                (0..1000).map(|i| (1.0 - f64::from(i) / 999.0).powi(power)).collect()
            };
            ClassCurves {
                name: format!("class {class}"),
                precision: falling(1).into_iter().rev().collect(),
                recall: falling(class as i32 + 1),
                precision_by_recall: falling(class as i32 % 4 + 1)[..101].to_vec(),
            }
        };
        (0..classes).map(of).collect()
    }

    #[test]
    fn four_pictures_for_few_classes_and_many() {
        for classes in [1, 3, 18, 80] {
            let pictures = draw(&curves(classes));
            assert_eq!(pictures.len(), 4);
            assert_eq!((pictures[0].1.width(), pictures[0].1.height()), (1200, 800));
        }
        assert!(draw(&[]).is_empty());
    }

    #[test]
    fn the_best_f1_is_where_the_curve_is_highest() {
        let (at, best) = highest(&f1(&curves(1)[0]));
        assert!((at - 0.5).abs() < 0.01 && (best - 0.5).abs() < 0.01);
        assert_eq!(highest(&[]), (0.0, 0.0));
        assert_eq!(shortened("a rather long name of a class"), "a rather lon..");
    }
}
