//! A diagram of lines over two axes, with a title, a grid and a legend.

use ybox_spec::scale::Scale;

use ybox_picture::canvas::{Anchor, Area, Canvas, Colour, FAINT, Font, INK, Stroke};

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008), without the
/// two that are too bright for lines on white.
const COLOURS: [Colour; 6] =
    [[0, 114, 178], [230, 120, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [150, 75, 0]];

/// From the seventh line on, colours come again with dashes.
const DASHES: [Option<f64>; 3] = [None, Some(8.0), Some(3.0)];

/// A legend beside the diagram lists this many lines.
const LEGEND_ROWS: usize = 24;

/// Room for a sample of the line in the legend.
const SAMPLE: i64 = 28;

pub struct Line {
    /// Stands in the legend unless it is empty.
    pub label: String,
    pub points: Vec<[f64; 2]>,
    pub stroke: Stroke,
}

/// Where the legend stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legend {
    /// In one row below the title.
    Above,
    /// In a column at the right.
    Beside,
}

pub struct Chart<'a> {
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub x: Scale,
    pub y: Scale,
    pub lines: &'a [Line],
    pub legend: Legend,
}

/// How line `index` of a diagram is drawn.
pub fn stroke(index: usize) -> Stroke {
    Stroke {
        colour: COLOURS[index % COLOURS.len()],
        width: 2.0,
        dash: DASHES[index / COLOURS.len() % DASHES.len()],
    }
}

impl Chart<'_> {
    pub fn draw(&self, canvas: &mut Canvas, area: Area) {
        let plot = self.plot_area(area);
        let [left, top, right, bottom] = plot;
        let middle = (left + right) / 2;
        canvas.text([middle, area[1] + 14], Anchor::Middle, Font::Title, INK, self.title);
        self.grid(canvas, plot);
        for line in self.lines {
            self.line(canvas, plot, line);
        }
        canvas.frame([left, top, right + 1, bottom + 1], INK);
        canvas.text([middle, bottom + 40], Anchor::Middle, Font::Text, INK, self.x_label);
        let at = [area[0] + 12, (top + bottom) / 2];
        canvas.text_upwards(at, Anchor::Middle, Font::Text, INK, self.y_label);
        self.legend(canvas, area, plot);
    }

    /// The area between the axes.
    fn plot_area(&self, [left, top, right, bottom]: Area) -> Area {
        let labels = self.y.ticks.iter().map(|&tick| Font::Text.width(&self.y.label(tick)));
        let y_label = if self.y_label.is_empty() { 0 } else { 22 };
        let (above, beside) = match self.legend {
            Legend::Above => (52, 20),
            Legend::Beside => (30, self.legend_width() + 24),
        };
        let left = left + labels.max().unwrap_or(0) + 14 + y_label;
        [left, top + above, right - beside, bottom - if self.x_label.is_empty() { 30 } else { 52 }]
    }

    fn legend_width(&self) -> i64 {
        let widths = self.lines.iter().map(|line| Font::Text.width(&line.label));
        widths.max().unwrap_or(0) + SAMPLE + 16
    }

    fn place(&self, [left, top, right, bottom]: Area, [x, y]: [f64; 2]) -> [f64; 2] {
        let along = |low: i64, high: i64, share: f64| low as f64 + (high - low) as f64 * share;
        [along(left, right, self.x.share(x)) + 0.5, along(bottom, top, self.y.share(y)) + 0.5]
    }

    fn grid(&self, canvas: &mut Canvas, plot: Area) {
        let [left, top, right, bottom] = plot;
        for &tick in &self.x.ticks {
            let x = self.place(plot, [tick, self.y.low])[0] as i64;
            canvas.fill([x, top, x + 1, bottom], FAINT);
            let at = [x, bottom + 16];
            canvas.text(at, Anchor::Middle, Font::Text, INK, &self.x.label(tick));
        }
        for &tick in &self.y.ticks {
            let y = self.place(plot, [self.x.low, tick])[1] as i64;
            canvas.fill([left, y, right, y + 1], FAINT);
            canvas.text([left - 8, y], Anchor::End, Font::Text, INK, &self.y.label(tick));
        }
    }

    fn line(&self, canvas: &mut Canvas, plot: Area, line: &Line) {
        let points: Vec<_> = line.points.iter().map(|&point| self.place(plot, point)).collect();
        canvas.line(&points, line.stroke);
        // A line of few points, or of one, shows where they are.
        if points.len() <= 12 {
            for &point in &points {
                canvas.dot(point, line.stroke.width + 1.0, line.stroke.colour);
            }
        }
    }

    fn legend(&self, canvas: &mut Canvas, area: Area, plot: Area) {
        let named: Vec<_> = self.lines.iter().filter(|line| !line.label.is_empty()).collect();
        match self.legend {
            Legend::Above => {
                let widths = named.iter().map(|l| Font::Text.width(&l.label) + SAMPLE + 24);
                let mut x = (plot[0] + plot[2] - widths.sum::<i64>() + 24) / 2;
                for line in named {
                    entry(canvas, [x, area[1] + 38], line);
                    x += Font::Text.width(&line.label) + SAMPLE + 24;
                }
            }
            Legend::Beside => {
                let x = plot[2] + 20;
                for (row, line) in (0..).zip(named.iter().take(LEGEND_ROWS)) {
                    entry(canvas, [x, plot[1] + 10 + 20 * row], line);
                }
                if let Some(more) = named.len().checked_sub(LEGEND_ROWS + 1) {
                    let at = [x, plot[1] + 10 + 20 * LEGEND_ROWS as i64];
                    let text = format!("and {} more", more + 1);
                    canvas.text(at, Anchor::Start, Font::Text, INK, &text);
                }
            }
        }
    }
}

/// A sample of the line and its label, from `x` on at height `y`.
fn entry(canvas: &mut Canvas, [x, y]: [i64; 2], line: &Line) {
    let (from, to) = (x as f64, (x + SAMPLE - 6) as f64);
    canvas.line(&[[from, y as f64], [to, y as f64]], line.stroke);
    canvas.text([x + SAMPLE, y], Anchor::Start, Font::Text, INK, &line.label);
}
