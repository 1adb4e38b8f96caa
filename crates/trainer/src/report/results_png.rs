//! `results.png`: losses, metrics and learning rates over the epochs, drawn from `results.csv`.

use ybox_spec::results::{Panel, Table};
use ybox_spec::scale::Scale;

use super::chart::{Chart, Legend, Line, stroke};
use crate::data::Picture;
use ybox_picture::canvas::{Canvas, Stroke};

const COLUMNS: usize = 3;
const PANEL: [i64; 2] = [520, 400];
const MARGIN: i64 = 8;

/// `None` for a table without rows.
pub fn draw(csv: &str) -> Option<Picture> {
    let table = Table::parse(csv);
    let panels = table.panels();
    if table.is_empty() || panels.is_empty() {
        return None;
    }
    let (columns, rows) = (COLUMNS.min(panels.len()), panels.len().div_ceil(COLUMNS));
    let [width, height] = PANEL;
    let mut canvas = Canvas::new(columns as u32 * width as u32, rows as u32 * height as u32);
    for (i, panel) in panels.iter().enumerate() {
        let (left, top) = ((i % COLUMNS) as i64 * width, (i / COLUMNS) as i64 * height);
        let area = [left + MARGIN, top + MARGIN, left + width - MARGIN, top + height - MARGIN];
        draw_panel(panel, &mut canvas, area);
    }
    Some(canvas.into_picture())
}

fn draw_panel(panel: &Panel, canvas: &mut Canvas, area: [i64; 4]) {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let epochs = || points().map(|p| p[0]);
    let (first, last) = (epochs().fold(f64::MAX, f64::min), epochs().fold(1.0, f64::max));
    let lines: Vec<_> = panel
        .lines
        .iter()
        .enumerate()
        .map(|(i, line)| Line {
            label: line.label.clone(),
            points: line.points.clone(),
            // Dashes beside colours: the lines of one panel often lie on each other.
            stroke: Stroke { dash: [None, Some(9.0), Some(4.0)][i % 3], ..stroke(i) },
        })
        .collect();
    let chart = Chart {
        title: &panel.title,
        x_label: "epoch",
        y_label: "",
        x: Scale::counting(first, last),
        y: Scale::around(points().map(|p| p[1])),
        lines: &lines,
        legend: Legend::Above,
    };
    chart.draw(canvas, area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_three_whatever_the_numbers() {
        let header = "epoch,train/box_loss,val/box_loss,train/cls_loss,val/cls_loss,train/dfl_loss,\
            val/dfl_loss,metrics/precision(B),metrics/recall(B),metrics/mAP50(B),\
            metrics/mAP50-95(B),lr/pg0,lr/pg1,lr/pg2";
        assert!(draw(&format!("{header}\n")).is_none());
        for row in ["1,2,2,2,2,2,2,0,0,0,0,1e-9,1e-9,1e-9", "1,inf,-1e300,,,,,,,,,,,NaN"] {
            let picture = draw(&format!("{header}\n{row}\n")).unwrap();
            assert_eq!((picture.width(), picture.height()), (1560, 800));
        }
    }
}
