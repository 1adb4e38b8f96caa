//! A diagram of lines over epochs as SVG. Colours come from the page, so that it is readable on
//! light and dark; dashes tell lines apart without colours.

use std::fmt::Write as _;

use ybox_spec::results::{Line, Panel};
use ybox_spec::scale::Scale;

use super::html::escape;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
/// Left, top, right and bottom of the area between the axes.
const PLOT: [f64; 4] = [58.0, 54.0, WIDTH - 16.0, HEIGHT - 40.0];

/// Points that show their value when pointed at, per line.
const POINTS: usize = 60;

/// Lines beyond have the look of earlier ones.
const LOOKS: usize = 6;

pub fn draw(panel: &Panel) -> String {
    let scales = Scales::of(panel);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0} over epochs\">\n\
         <text class=\"title\" x=\"{1}\" y=\"18\">{0}</text>\n",
        escape(&panel.title),
        (PLOT[0] + PLOT[2]) / 2.0,
    );
    scales.grid(&mut svg);
    for (i, line) in panel.lines.iter().enumerate() {
        scales.line(&mut svg, i % LOOKS, line);
    }
    legend(&mut svg, &panel.lines);
    svg.push_str("</svg>\n");
    svg
}

struct Scales {
    x: Scale,
    y: Scale,
}

impl Scales {
    fn of(panel: &Panel) -> Self {
        let points = || panel.lines.iter().flat_map(|line| &line.points);
        let epochs = || points().map(|p| p[0]).filter(|e| e.is_finite());
        let last = epochs().fold(1.0, f64::max);
        let first = epochs().fold(last, f64::min);
        Self { x: Scale::counting(first, last), y: Scale::around(points().map(|p| p[1])) }
    }

    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [left, top, right, bottom] = PLOT;
        [left + (right - left) * self.x.share(x), bottom - (bottom - top) * self.y.share(y)]
    }

    fn grid(&self, svg: &mut String) {
        let [left, top, right, bottom] = PLOT;
        for &tick in &self.x.ticks {
            let x = self.place([tick, self.y.low])[0];
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\">{}</text>",
                bottom + 16.0,
                self.x.label(tick),
            );
        }
        for &tick in &self.y.ticks {
            let y = self.place([self.x.low, tick])[1];
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
                left - 6.0,
                y + 4.0,
                self.y.label(tick),
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\"/>\
             <text x=\"{}\" y=\"{}\">epoch</text>",
            (left + right) / 2.0,
            HEIGHT - 6.0,
        );
    }

    fn line(&self, svg: &mut String, look: usize, line: &Line) {
        for run in line.points.split(|p| !p.iter().all(|v| v.is_finite())) {
            let points: Vec<_> =
                run.iter().map(|&p| self.place(p)).map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
            let _ =
                writeln!(svg, "<polyline class=\"line l{look}\" points=\"{}\"/>", points.join(" "));
        }
        let finite: Vec<_> =
            line.points.iter().filter(|p| p.iter().all(|v| v.is_finite())).collect();
        for point in finite.iter().step_by(finite.len().div_ceil(POINTS).max(1)) {
            let [x, y] = self.place(**point);
            let _ = writeln!(
                svg,
                "<circle class=\"l{look}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\">\
                 <title>{} at epoch {}: {}</title></circle>",
                if finite.len() <= 20 { 3.0 } else { 2.0 },
                escape(&line.label),
                point[0],
                short(point[1]),
            );
        }
    }
}

fn legend(svg: &mut String, lines: &[Line]) {
    // About eight units per letter.
    let width = |line: &Line| 38.0 + 8.0 * line.label.chars().count() as f64;
    let all: f64 = lines.iter().map(width).sum();
    let mut x = ((PLOT[0] + PLOT[2] - all) / 2.0).max(4.0);
    for (i, line) in lines.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<path class=\"line l{}\" d=\"M{x:.1} 36h20\"/>\
             <text class=\"start\" x=\"{:.1}\" y=\"40\">{}</text>",
            i % LOOKS,
            x + 25.0,
            escape(&line.label),
        );
        x += width(line);
    }
}

/// Five digits that count.
fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.3e}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[[f64; 2]]) -> Panel {
        Panel {
            title: "a <b>".into(),
            lines: vec![Line { label: "train".into(), points: points.to_vec() }],
        }
    }

    #[test]
    fn draws_what_is_finite() {
        let svg = draw(&panel(&[[1.0, 0.5], [2.0, f64::NAN], [3.0, 0.7], [4.0, 0.9]]));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("NaN"));
    }

    #[test]
    fn long_and_empty_lines_have_a_diagram() {
        let many: Vec<_> = (1..=600).map(|i| [f64::from(i), f64::from(i).sqrt()]).collect();
        assert!(draw(&panel(&many)).matches("<circle").count() <= POINTS);
        for points in [&[][..], &[[1.0, 2.0]], &[[f64::NAN, f64::INFINITY]]] {
            let svg = draw(&panel(points));
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
