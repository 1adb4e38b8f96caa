//! Diagrams of counts in cells: confusion matrices, and heat maps of places and sizes.

use super::curves::shortened;
use crate::data::Picture;
use crate::eval::Confusion;
use ybox_picture::canvas::{Anchor, Area, Canvas, Colour, FAINT, Font, INK};

/// With more classes than this, numbers and names would not be readable.
const READABLE_CLASSES: usize = 40;

/// From nothing (white) to the most (dark blue): brightness alone carries it.
fn shade(share: f64) -> Colour {
    const STOPS: [[f64; 3]; 3] = [[255.0, 255.0, 255.0], [107.0, 174.0, 214.0], [8.0, 48.0, 107.0]];
    let place = share.clamp(0.0, 1.0) * 2.0;
    let (from, to) = if place < 1.0 { (STOPS[0], STOPS[1]) } else { (STOPS[1], STOPS[2]) };
    let rest = if place < 1.0 { place } else { place - 1.0 };
    std::array::from_fn(|i| (from[i] + (to[i] - from[i]) * rest).round() as u8)
}

/// The matrix, as counts or as shares of each class that is there.
pub fn confusion(confusion: &Confusion, normalized: bool) -> Picture {
    let labels: Vec<_> = confusion.labels().iter().map(|name| shortened(name)).collect();
    let side = labels.len();
    let readable = side <= READABLE_CLASSES;
    let cell =
        if readable { (720 / side as i64).clamp(44, 160) } else { (720 / side as i64).max(4) };
    let names =
        if readable { labels.iter().map(|l| Font::Text.width(l)).max().unwrap_or(0) } else { 0 };
    let (left, top) = (names + 50, 50);
    let extent = cell * side as i64;
    let mut canvas = Canvas::new((left + extent + 30) as u32, (top + extent + names + 60) as u32);
    let title = match normalized {
        true => "confusion matrix (shares of what is there)",
        false => "confusion matrix (objects)",
    };
    canvas.text([(left + extent / 2).max(200), 22], Anchor::Middle, Font::Title, INK, title);
    let most = (0..side * side).map(|i| confusion.count(i / side, i % side)).max().unwrap_or(0);
    for found in 0..side {
        for there in 0..side {
            let count = confusion.count(found, there);
            let (share, text) = match normalized {
                true => {
                    (confusion.share(found, there), format!("{:.2}", confusion.share(found, there)))
                }
                false => (count as f64 / most.max(1) as f64, count.to_string()),
            };
            let (x, y) = (left + cell * there as i64, top + cell * found as i64);
            canvas.fill([x, y, x + cell, y + cell], shade(share));
            if readable && count > 0 {
                let ink = if share > 0.45 { [255; 3] } else { INK };
                let at = [x + cell / 2, y + cell / 2];
                canvas.text(at, Anchor::Middle, Font::Text, ink, &text);
            }
        }
    }
    lattice(&mut canvas, [left, top], cell, side as i64);
    if readable {
        for (i, label) in (0..).zip(&labels) {
            let middle = cell * i + cell / 2;
            canvas.text([left - 8, top + middle], Anchor::End, Font::Text, INK, label);
            let at = [left + middle, top + extent + 8];
            canvas.text_upwards(at, Anchor::End, Font::Text, INK, label);
        }
    }
    let below = [left + extent / 2, top + extent + names + 36];
    canvas.text(below, Anchor::Middle, Font::Text, INK, "there");
    canvas.text_upwards([18, top + extent / 2], Anchor::Middle, Font::Text, INK, "found as");
    canvas.into_picture()
}

fn lattice(canvas: &mut Canvas, [left, top]: [i64; 2], cell: i64, side: i64) {
    let extent = cell * side;
    if cell > 8 {
        for i in 1..side {
            canvas.fill([left + cell * i, top, left + cell * i + 1, top + extent], FAINT);
            canvas.fill([left, top + cell * i, left + extent, top + cell * i + 1], FAINT);
        }
    }
    canvas.frame([left, top, left + extent + 1, top + extent + 1], INK);
}

/// Counts of `points`, whose coordinates are from 0 to 1, in `cells` by `cells`.
pub fn heat_map(
    canvas: &mut Canvas,
    area: Area,
    points: impl Iterator<Item = [f32; 2]>,
    cells: usize,
    upwards: bool,
) {
    let mut counts = vec![0_u32; cells * cells];
    let place = |v: f32| ((v * cells as f32) as usize).min(cells - 1);
    for [x, y] in points {
        let row = if upwards { cells - 1 - place(y) } else { place(y) };
        counts[row * cells + place(x)] += 1;
    }
    // The root, or one full cell would leave all others white.
    let most = f64::from(counts.iter().copied().max().unwrap_or(0).max(1)).sqrt();
    let [left, top, right, bottom] = area;
    let edge = |low: i64, high: i64, i: usize| low + (high - low) * i as i64 / cells as i64;
    for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (row, column) = (i / cells, i % cells);
        let cell = [
            edge(left, right, column),
            edge(top, bottom, row),
            edge(left, right, column + 1),
            edge(top, bottom, row + 1),
        ];
        // Even a single one is seen.
        canvas.fill(cell, shade(0.12 + 0.88 * f64::from(count).sqrt() / most));
    }
    canvas.frame([left, top, right + 1, bottom + 1], INK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Detection, Truth};

    #[test]
    fn cells_are_darker_the_more_there_is() {
        let luma = |share| shade(share).iter().map(|&c| u32::from(c)).sum::<u32>();
        let lumas: Vec<_> = (0..=10).map(|i| luma(f64::from(i) / 10.0)).collect();
        assert!(lumas.is_sorted_by(|a, b| a > b), "{lumas:?}");
        assert_eq!(shade(0.0), [255; 3]);
    }

    #[test]
    fn matrices_of_few_and_many_classes_have_a_picture() {
        for classes in [1_u32, 3, 80, 400] {
            let mut matrix = Confusion::new((0..classes).map(|i| format!("class {i}")).collect());
            let bbox = [0., 0., 9., 9.];
            let detection = Detection { bbox, score: 0.9, class: classes - 1, index: 0 };
            matrix.add(&[detection], &[Truth { bbox, class: 0 }]);
            for normalized in [false, true] {
                let picture = confusion(&matrix, normalized);
                assert!((300..2000).contains(&picture.width()), "{}", picture.width());
            }
        }
    }

    #[test]
    fn points_at_the_edges_are_in_the_map() {
        let mut canvas = Canvas::new(40, 40);
        heat_map(&mut canvas, [0, 0, 40, 40], [[0.0, 0.0], [1.0, 1.0]].into_iter(), 4, true);
        let picture = canvas.into_picture();
        assert_eq!(picture.pixel(5, 35), shade(1.0));
        assert_eq!(picture.pixel(35, 5), shade(1.0));
        assert_eq!(picture.pixel(5, 5), [255; 3]);
    }
}
