//! Labelled boxes drawn on a picture, and filled rectangles, of which all else is made.

use std::convert::Infallible;

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Baseline, Text};

use super::Picture;

/// Twenty colours that are told apart on most backgrounds; class 20 starts again.
const PALETTE: [[u8; 3]; 20] = [
    [230, 25, 75],
    [0, 130, 200],
    [60, 180, 75],
    [245, 130, 48],
    [145, 30, 180],
    [70, 240, 240],
    [240, 50, 230],
    [210, 245, 60],
    [0, 128, 128],
    [250, 190, 212],
    [170, 110, 40],
    [128, 0, 0],
    [255, 225, 25],
    [0, 0, 128],
    [128, 128, 0],
    [170, 255, 195],
    [220, 190, 255],
    [255, 215, 180],
    [0, 90, 50],
    [110, 110, 110],
];

const FONT: MonoFont = FONT_7X13_BOLD;

/// A box with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBox {
    /// Chooses the colour.
    pub class: u32,
    /// Left, top, right, bottom in pixels.
    pub corners: [f32; 4],
    pub label: String,
}

pub fn colour(class: u32) -> [u8; 3] {
    PALETTE[class as usize % PALETTE.len()]
}

/// Draws all frames, then all labels, so that no frame crosses a text.
pub fn draw_boxes(picture: &mut Picture, boxes: &[LabelledBox]) {
    let mean_side = (picture.width() + picture.height()) / 2;
    let line = ((3 * mean_side + 500) / 1000).max(1);
    let zoom = ((mean_side + 320) / 640).max(1);
    for b in boxes {
        draw_frame(picture, b, i64::from(line));
    }
    for b in boxes {
        draw_label(picture, b, i64::from(zoom));
    }
}

/// Whole pixels; far-off coordinates, which no picture reaches, are cut short.
fn whole(corners: [f32; 4]) -> [i64; 4] {
    corners.map(|v| v.round().clamp(-1e6, 1e6) as i64)
}

fn draw_frame(picture: &mut Picture, b: &LabelledBox, line: i64) {
    let [left, top, right, bottom] = whole(b.corners);
    let rgb = colour(b.class);
    fill(picture, [left, top, right, top + line], rgb);
    fill(picture, [left, bottom - line, right, bottom], rgb);
    fill(picture, [left, top, left + line, bottom], rgb);
    fill(picture, [right - line, top, right, bottom], rgb);
}

/// The text on a background of the class's colour: above the box, or inside it at the picture's
/// upper edge, and never beyond the right edge.
fn draw_label(picture: &mut Picture, b: &LabelledBox, zoom: i64) {
    if b.label.is_empty() {
        return;
    }
    let cell = FONT.character_size;
    let width = (b.label.chars().count() as i64 * i64::from(cell.width) + 2) * zoom;
    let height = i64::from(cell.height) * zoom;
    let [left, top, ..] = whole(b.corners);
    let left = left.min(i64::from(picture.width()) - width).max(0);
    let top = if top >= height { top - height } else { top.max(0) };
    fill(picture, [left, top, left + width, top + height], colour(b.class));
    let style = MonoTextStyle::new(&FONT, text_colour(colour(b.class)));
    let text = Text::with_baseline(&b.label, Point::new(1, 0), style, Baseline::Top);
    let Ok(_) = text.draw(&mut Zoomed { picture, left, top, zoom });
}

fn text_colour([r, g, b]: [u8; 3]) -> Rgb888 {
    // Luma of Rec. 601, in thousandths.
    let luma = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if luma > 140_000 { Rgb888::BLACK } else { Rgb888::WHITE }
}

/// Fills left, top, right, bottom as far as they lie in the picture.
pub fn fill(picture: &mut Picture, corners: [i64; 4], rgb: [u8; 3]) {
    let limits = [i64::from(picture.width()), i64::from(picture.height())];
    let [left, top, right, bottom]: [i64; 4] =
        std::array::from_fn(|i| corners[i].clamp(0, limits[i % 2]));
    if left >= right {
        return;
    }
    for y in top..bottom {
        let row = &mut picture.row_mut(y as u32)[left as usize * 3..right as usize * 3];
        row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&rgb));
    }
}

/// Draws each dot as a square of `zoom` pixels, starting at (`left`, `top`).
struct Zoomed<'a> {
    picture: &'a mut Picture,
    left: i64,
    top: i64,
    zoom: i64,
}

impl OriginDimensions for Zoomed<'_> {
    fn size(&self) -> Size {
        Size::new(self.picture.width(), self.picture.height())
    }
}

impl DrawTarget for Zoomed<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = embedded_graphics::Pixel<Rgb888>>,
    {
        for embedded_graphics::Pixel(at, rgb) in pixels {
            let x = self.left + i64::from(at.x) * self.zoom;
            let y = self.top + i64::from(at.y) * self.zoom;
            let square = [x, y, x + self.zoom, y + self.zoom];
            fill(self.picture, square, [rgb.r(), rgb.g(), rgb.b()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(corners: [f32; 4], label: &str) -> LabelledBox {
        LabelledBox { class: 1, corners, label: label.into() }
    }

    #[test]
    fn a_frame_lies_on_the_box_and_leaves_the_inside_alone() {
        let mut picture = Picture::filled(100, 80, [0; 3]);
        draw_boxes(&mut picture, &[labelled([20.0, 30.0, 60.0, 70.0], "")]);
        for (x, y) in [(20, 30), (59, 30), (20, 69), (59, 69), (40, 30), (20, 50)] {
            assert_eq!(picture.pixel(x, y), colour(1), "{x} {y}");
        }
        for (x, y) in [(19, 30), (60, 30), (20, 29), (20, 70), (40, 50)] {
            assert_eq!(picture.pixel(x, y), [0; 3], "{x} {y}");
        }
    }

    #[test]
    fn a_label_has_its_background_inside_the_picture() {
        for corners in [[20.0, 30.0, 60.0, 70.0], [95.0, 40.0, 99.0, 60.0], [-9.0, -9.0, 5.0, 5.0]]
        {
            let mut picture = Picture::filled(100, 80, [0; 3]);
            draw_boxes(&mut picture, &[labelled(corners, "RBC 0.9")]);
            let count = |rgb| picture.pixels().chunks(3).filter(|p| *p == rgb).count();
            assert!(count([255; 3]) > 60, "text of {corners:?}");
            assert!(count(colour(1)) > 400, "background of {corners:?}");
        }
    }

    #[test]
    fn odd_boxes_and_texts_do_no_harm() {
        let mut picture = Picture::filled(3, 2, [0; 3]);
        let far = f32::MAX;
        draw_boxes(
            &mut picture,
            &[
                labelled([f32::NAN, 0.0, 5.0, -5.0], "x"),
                labelled([-far, -far, far, far], "é 漢字"),
            ],
        );
    }
}
