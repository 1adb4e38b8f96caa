//! A white sheet to draw diagrams on: filled rectangles, smooth lines, text, pictures. Plain
//! arithmetic and bitmap fonts, so that a diagram has the same bytes on every machine.

use std::collections::BTreeMap;
use std::convert::Infallible;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Dimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_9X15, FONT_9X18_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, Pixel};

use super::Picture;
use super::boxes::fill;

pub type Colour = [u8; 3];

pub const INK: Colour = [30, 34, 40];
pub const FAINT: Colour = [222, 226, 232];

/// Left, top, right, bottom in pixels.
pub type Area = [i64; 4];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Font {
    Text,
    Title,
}

impl Font {
    fn face(self) -> MonoFont<'static> {
        match self {
            Self::Text => FONT_9X15,
            Self::Title => FONT_9X18_BOLD,
        }
    }

    pub fn height(self) -> i64 {
        i64::from(self.face().character_size.height)
    }

    pub fn width(self, text: &str) -> i64 {
        text.chars().count() as i64 * i64::from(self.face().character_size.width)
    }
}

/// Which point of a text is given: horizontally its start, middle or end; vertically its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    pub colour: Colour,
    pub width: f64,
    /// Length of dashes and of the gaps between them.
    pub dash: Option<f64>,
}

pub struct Canvas {
    picture: Picture,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Self {
        Self { picture: Picture::filled(width, height, [255; 3]) }
    }

    pub fn into_picture(self) -> Picture {
        self.picture
    }

    pub fn area(&self) -> Area {
        [0, 0, i64::from(self.picture.width()), i64::from(self.picture.height())]
    }

    pub fn fill(&mut self, area: Area, colour: Colour) {
        fill(&mut self.picture, area, colour);
    }

    /// The outline of `area`, one pixel wide.
    pub fn frame(&mut self, [left, top, right, bottom]: Area, colour: Colour) {
        self.fill([left, top, right, top + 1], colour);
        self.fill([left, bottom - 1, right, bottom], colour);
        self.fill([left, top, left + 1, bottom], colour);
        self.fill([right - 1, top, right, bottom], colour);
    }

    /// Copies `picture` to where its upper left corner is to be, as far as it fits.
    pub fn paste(&mut self, picture: &Picture, [left, top]: [u32; 2]) {
        let width = picture.width().min(self.picture.width().saturating_sub(left)) as usize * 3;
        for y in 0..picture.height().min(self.picture.height().saturating_sub(top)) {
            self.picture.row_mut(top + y)[left as usize * 3..][..width]
                .copy_from_slice(&picture.row(y)[..width]);
        }
    }

    /// A line through `points`. A point that is not finite ends it, the next one begins another.
    pub fn line(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        for run in points.split(|p| !p.iter().all(|v| v.is_finite())) {
            // By row and column, so that pixels near a joint are drawn once.
            let mut coverage = BTreeMap::new();
            let mut length = 0.0;
            for ends in run.windows(2) {
                length = self.cover(&mut coverage, [ends[0], ends[1]], length, stroke);
            }
            for ((y, x), share) in coverage {
                self.blend(x, y, stroke.colour, share);
            }
        }
    }

    /// A disc around `centre`.
    pub fn dot(&mut self, centre: [f64; 2], radius: f64, colour: Colour) {
        if centre.iter().all(|v| v.is_finite()) {
            let mut coverage = BTreeMap::new();
            let stroke = Stroke { colour, width: 2.0 * radius, dash: None };
            self.cover(&mut coverage, [centre, centre], 0.0, stroke);
            for ((y, x), share) in coverage {
                self.blend(x, y, colour, share);
            }
        }
    }

    pub fn text(&mut self, at: [i64; 2], anchor: Anchor, font: Font, colour: Colour, text: &str) {
        self.write(at, anchor, font, colour, text, false);
    }

    /// Text that reads from below upwards.
    pub fn text_upwards(
        &mut self,
        at: [i64; 2],
        anchor: Anchor,
        font: Font,
        colour: Colour,
        text: &str,
    ) {
        self.write(at, anchor, font, colour, text, true);
    }

    fn write(
        &mut self,
        at: [i64; 2],
        anchor: Anchor,
        font: Font,
        colour: Colour,
        text: &str,
        upwards: bool,
    ) {
        let along = match anchor {
            Anchor::Start => 0,
            Anchor::Middle => font.width(text) / 2,
            Anchor::End => font.width(text),
        };
        let (face, across) = (font.face(), font.height() / 2);
        let [r, g, b] = colour;
        let style = MonoTextStyle::new(&face, Rgb888::new(r, g, b));
        let text = Text::with_baseline(text, Point::zero(), style, Baseline::Top);
        let mut ink = Ink { picture: &mut self.picture, at, along, across, upwards };
        let Ok(_) = text.draw(&mut ink);
    }

    /// Notes how much of each pixel the segment covers; returns the length with it added.
    fn cover(
        &self,
        coverage: &mut BTreeMap<(i64, i64), f64>,
        [from, to]: [[f64; 2]; 2],
        before: f64,
        stroke: Stroke,
    ) -> f64 {
        let along = [to[0] - from[0], to[1] - from[1]];
        let length = along[0].hypot(along[1]);
        let reach = stroke.width / 2.0 + 0.5;
        let range = |axis: usize, end: i64| {
            let low = (from[axis].min(to[axis]) - reach).floor().max(0.0) as i64;
            let high = (from[axis].max(to[axis]) + reach).ceil().min(end as f64) as i64;
            low..high
        };
        for y in range(1, self.area()[3]) {
            for x in range(0, self.area()[2]) {
                let at = [x as f64 + 0.5 - from[0], y as f64 + 0.5 - from[1]];
                let place = if length > 0.0 {
                    ((at[0] * along[0] + at[1] * along[1]) / (length * length)).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let off = (at[0] - place * along[0]).hypot(at[1] - place * along[1]);
                let share = (reach - off).clamp(0.0, 1.0);
                if share > 0.0 && is_drawn(stroke.dash, before + place * length) {
                    let known = coverage.entry((y, x)).or_insert(0.0);
                    *known = known.max(share);
                }
            }
        }
        before + length
    }

    fn blend(&mut self, x: i64, y: i64, colour: Colour, share: f64) {
        let (x, y) = (x as u32, y as u32);
        let under = self.picture.pixel(x, y);
        let mix = |i: usize| {
            (f64::from(under[i]) * (1.0 - share) + f64::from(colour[i]) * share).round() as u8
        };
        self.picture.set_pixel(x, y, [mix(0), mix(1), mix(2)]);
    }
}

fn is_drawn(dash: Option<f64>, place: f64) -> bool {
    dash.is_none_or(|dash| (place / dash) as i64 % 2 == 0)
}

/// Takes the dots of a text whose start is at the origin to where they go.
struct Ink<'a> {
    picture: &'a mut Picture,
    at: [i64; 2],
    /// Distance of the anchor from the start of the text, and from its upper edge.
    along: i64,
    across: i64,
    upwards: bool,
}

impl Dimensions for Ink<'_> {
    fn bounding_box(&self) -> Rectangle {
        // Any text fits: what lies outside the picture is dropped when it is filled.
        Rectangle::new(Point::zero(), Size::new(u32::from(u16::MAX), u32::from(u16::MAX)))
    }
}

impl DrawTarget for Ink<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(dot, rgb) in pixels {
            let (along, across) = (i64::from(dot.x) - self.along, i64::from(dot.y) - self.across);
            let (x, y) = match self.upwards {
                false => (self.at[0] + along, self.at[1] + across),
                true => (self.at[0] + across, self.at[1] - along),
            };
            fill(self.picture, [x, y, x + 1, y + 1], [rgb.r(), rgb.g(), rgb.b()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dark(picture: &Picture) -> Vec<(u32, u32)> {
        let (w, h) = (picture.width(), picture.height());
        let all = (0..h).flat_map(|y| (0..w).map(move |x| (x, y)));
        all.filter(|&(x, y)| picture.pixel(x, y)[0] < 128).collect()
    }

    fn black(width: f64) -> Stroke {
        Stroke { colour: [0; 3], width, dash: None }
    }

    #[test]
    fn a_line_covers_its_pixels_and_breaks_where_it_is_not_finite() {
        let mut canvas = Canvas::new(20, 10);
        let gap = [f64::NAN; 2];
        canvas.line(&[[2.0, 5.0], [6.0, 5.0], gap, [12.0, 5.0], [16.0, 5.0]], black(2.0));
        let dark = dark(&canvas.into_picture());
        assert!(dark.contains(&(4, 4)) && dark.contains(&(4, 5)) && dark.contains(&(14, 4)));
        assert!(dark.iter().all(|&(x, y)| (4..6).contains(&y) && !(8..10).contains(&x)));
    }

    #[test]
    fn dashes_leave_gaps() {
        let mut canvas = Canvas::new(40, 4);
        canvas.line(&[[0.0, 2.0], [40.0, 2.0]], Stroke { dash: Some(10.0), ..black(2.0) });
        let dark = dark(&canvas.into_picture());
        assert!(dark.contains(&(5, 1)) && !dark.contains(&(15, 1)) && dark.contains(&(25, 1)));
    }

    #[test]
    fn text_lies_around_its_anchor_either_way() {
        for (anchor, columns) in
            [(Anchor::Start, 50..77), (Anchor::Middle, 36..64), (Anchor::End, 23..50)]
        {
            let mut canvas = Canvas::new(100, 100);
            canvas.text([50, 50], anchor, Font::Text, [0; 3], "mAP");
            let flat = dark(&canvas.into_picture());
            assert!(flat.len() > 30 && flat.iter().all(|(x, _)| columns.contains(x)), "{anchor:?}");
            let mut canvas = Canvas::new(100, 100);
            canvas.text_upwards([50, 50], anchor, Font::Text, [0; 3], "mAP");
            let mut turned: Vec<_> =
                dark(&canvas.into_picture()).iter().map(|&(x, y)| (100 - y, x)).collect();
            turned.sort_by_key(|&(x, y)| (y, x));
            assert_eq!(turned, flat);
        }
    }

    #[test]
    fn what_lies_outside_is_dropped() {
        let mut canvas = Canvas::new(8, 8);
        canvas.line(&[[-50.0, -50.0], [50.0, 50.0]], black(3.0));
        canvas.dot([100.0, 100.0], 4.0, INK);
        canvas.text([0, 0], Anchor::End, Font::Title, INK, "a long text");
        canvas.paste(&Picture::filled(20, 20, [9; 3]), [6, 7]);
        assert_eq!(canvas.into_picture().pixel(7, 7), [9; 3]);
    }
}
