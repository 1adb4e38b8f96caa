//! Labelled boxes drawn on a picture, and pictures written to files with the same bytes every time.
//! Which boxes to draw is the caller's choice.

use std::convert::Infallible;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Baseline, Text};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};
use ybox_spec::files::write_atomic;

use crate::data::Picture;

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
const JPEG_QUALITY: u8 = 92;

/// A box with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBox {
    /// Chooses the colour.
    pub class: u32,
    /// Left, top, right, bottom in pixels.
    pub corners: [f32; 4],
    pub label: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("cannot encode {}: {source}", path.display())]
    Encode { path: PathBuf, source: ImageError },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
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

/// Writes a PNG, or a JPEG where the name ends in `jpg` or `jpeg`, replacing the file at once.
pub fn save(picture: &Picture, path: &Path) -> Result<(), SaveError> {
    let bytes = encode(picture, is_jpeg(path))
        .map_err(|source| SaveError::Encode { path: path.to_owned(), source })?;
    write_atomic(path, &bytes).map_err(|source| SaveError::Write { path: path.to_owned(), source })
}

fn is_jpeg(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg"].iter().any(|e| extension.eq_ignore_ascii_case(e))
}

fn encode(picture: &Picture, jpeg: bool) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    let (pixels, width, height) = (picture.pixels(), picture.width(), picture.height());
    let rgb = ExtendedColorType::Rgb8;
    if jpeg {
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(pixels, width, height, rgb)?;
    } else {
        PngEncoder::new(&mut bytes).write_image(pixels, width, height, rgb)?;
    }
    Ok(bytes.into_inner())
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
pub(crate) fn fill(picture: &mut Picture, corners: [i64; 4], rgb: [u8; 3]) {
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
    use ybox_spec::Digest;

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

    #[test]
    fn files_have_the_same_bytes_every_time() {
        let mut picture = Picture::filled(64, 48, [40, 90, 160]);
        draw_boxes(&mut picture, &[labelled([10.0, 20.0, 50.0, 40.0], "WBC")]);
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.jpg"] {
            let path = dir.path().join(name);
            save(&picture, &path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            save(&picture, &path).unwrap();
            assert_eq!(bytes, std::fs::read(&path).unwrap());
            let golden = match name {
                "a.png" => "edf4ecbaeed4f928bea53a78aeabc100f888368103ec7cdae1173c36d3c9788b",
                _ => "96c797920a511600da28622352c7b91d9926bf5459919e0659c56ef531c004d7",
            };
            assert_eq!(Digest::of(&bytes).hex(), golden, "{name}");
            let back = crate::data::decode::decode(&bytes).unwrap();
            assert_eq!((back.width(), back.height()), (64, 48));
        }
    }
}
