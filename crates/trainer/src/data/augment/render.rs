//! Draws a canvas through an affine transform: bilinear, in fixed point, grey beyond the tiles.
//! The canvas is never painted; the result is the same as if it were.
//!
//! For an output pixel the canvas position is linear along the row, so that the pixels whose four
//! neighbours all lie in one tile form an interval, found by division: these take the tight loops.
//! The few at seams and edges ask the canvas neighbour by neighbour. Positions are rounded to
//! 1/256 pixel; sums are exact and rounded once, whatever the order of the arithmetic.

use std::ops::Range;

use ybox_picture::PADDING;

use super::super::Picture;
use super::affine::Affine;
use super::canvas::{Canvas, Rect, Tile};
use super::level::Level;
use super::perspective::Tilt;

/// Fraction bits of a position, and of a blending weight.
pub(super) const FRACTION: u32 = 32;
pub(super) const WEIGHT: u32 = 8;

/// Half a 256th, so that cutting off rounds.
const ROUNDING: i64 = 1 << (FRACTION - WEIGHT - 1);

/// Positions beyond this many pixels would overflow; only a transform that flattens the canvas to
/// nearly a line has them.
const FARTHEST: f64 = (1u64 << 29) as f64;

/// The output as planes `[3, height, width]`.
pub fn render(canvas: &Canvas, affine: &Affine) -> Vec<u8> {
    let (width, area) = (affine.size.width as usize, affine.size.area());
    let mut planes = vec![PADDING; 3 * area];
    let inverse = affine.inverse();
    if !is_representable(&inverse) {
        return planes;
    }
    let (red, rest) = planes.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    let rows = red
        .chunks_exact_mut(width)
        .zip(green.chunks_exact_mut(width))
        .zip(blue.chunks_exact_mut(width));
    let mut levels: Vec<_> = canvas.tiles.iter().map(|_| Level::default()).collect();
    for (y, ((r, g), b)) in rows.enumerate() {
        let line = Line::of_row(&inverse, y);
        for (tile, level) in canvas.tiles.iter().zip(&mut levels) {
            draw_tile(canvas, tile, line, [&mut *r, &mut *g, &mut *b], level);
        }
    }
    planes
}

/// The same through a tilt before the affine transform. Positions are not linear along a row then:
/// each pixel asks the canvas.
pub fn render_tilted(canvas: &Canvas, tilt: &Tilt, affine: &Affine) -> Vec<u8> {
    if tilt.is_none() {
        return render(canvas, affine);
    }
    let (width, area) = (affine.size.width as usize, affine.size.area());
    let mut planes = vec![PADDING; 3 * area];
    let inverse = affine.inverse();
    for place in 0..area {
        let (x, y) = ((place % width) as f64 + 0.5, (place / width) as f64 + 0.5);
        let (u, v) = inverse.map(x, y);
        let Some((u, v)) = tilt.seen_at(u, v) else { continue };
        if u.abs() < FARTHEST && v.abs() < FARTHEST {
            let [u, v] = [u, v].map(|p| fixed(p - 0.5) + ROUNDING);
            let rgb = blend_on_canvas(canvas, u, v);
            (0..3).for_each(|c| planes[c * area + place] = rgb[c]);
        }
    }
    planes
}

fn is_representable(inverse: &Affine) -> bool {
    let [width, height] = inverse.size.sides().map(f64::from);
    let corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)];
    corners.into_iter().all(|(x, y)| {
        let (u, v) = inverse.map(x, y);
        u.abs() < FARTHEST && v.abs() < FARTHEST
    })
}

/// Canvas positions of an output row, in fixed point: pixel `x` reads at `start + x * step`.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub u: Steps,
    pub v: Steps,
}

#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub start: i64,
    pub step: i64,
}

impl Line {
    fn of_row(inverse: &Affine, y: usize) -> Self {
        // Pixel centres lie at one half, on both sides; the third half rounds to 1/256.
        let (u, v) = inverse.map(0.5, y as f64 + 0.5);
        let steps = |start: f64, step: f64| Steps {
            start: fixed(start - 0.5) + ROUNDING,
            step: fixed(step),
        };
        Self { u: steps(u, inverse.matrix[0]), v: steps(v, inverse.matrix[3]) }
    }

    /// Output pixels whose upper left neighbour lies in `rect`.
    fn inside(&self, rect: Rect, len: usize) -> Range<usize> {
        let a = self.u.range(rect.left, rect.right, len);
        let b = self.v.range(rect.top, rect.bottom, len);
        let start = a.start.max(b.start);
        start..a.end.min(b.end).max(start)
    }

    /// The line from output pixel `x` on, in positions of the tile's picture.
    fn from(&self, tile: &Tile, x: usize) -> Self {
        let shifted = |steps: Steps, origin: i64| Steps {
            start: steps.at(x) - (origin << FRACTION),
            ..steps
        };
        Self { u: shifted(self.u, tile.left), v: shifted(self.v, tile.top) }
    }

    #[inline(always)]
    fn next(&self) -> Self {
        let next = |steps: Steps| Steps { start: steps.start + steps.step, ..steps };
        Self { u: next(self.u), v: next(self.v) }
    }
}

fn fixed(value: f64) -> i64 {
    (value * (1u64 << FRACTION) as f64).round() as i64
}

impl Steps {
    pub fn at(&self, x: usize) -> i64 {
        self.start + x as i64 * self.step
    }

    /// The `x` below `len` for which the whole part of the position is in `low..high`.
    fn range(&self, low: i64, high: i64, len: usize) -> Range<usize> {
        let (low, high) = (low << FRACTION, high << FRACTION);
        let (start, end) = match self.step {
            0 if (low..high).contains(&self.start) => (0, len as i64),
            0 => (0, 0),
            step if step > 0 => (div_up(low - self.start, step), div_up(high - self.start, step)),
            step => {
                // Falling: the first x below `high`, and the first below `low`.
                (
                    (self.start - high).div_euclid(-step) + 1,
                    (self.start - low).div_euclid(-step) + 1,
                )
            }
        };
        let clamp = |x: i64| x.clamp(0, len as i64) as usize;
        clamp(start)..clamp(end).max(clamp(start))
    }
}

fn div_up(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

fn draw_tile(canvas: &Canvas, tile: &Tile, line: Line, mut out: [&mut [u8]; 3], level: &mut Level) {
    let Rect { left, top, right, bottom } = tile.visible;
    let len = out[0].len();
    let touching = Rect { left: left - 1, top: top - 1, right, bottom };
    let within = Rect { left, top, right: right - 1, bottom: bottom - 1 };
    let outer = line.inside(touching, len);
    let inner = line.inside(within, len);
    let inner = if inner.is_empty() { outer.end..outer.end } else { inner };
    let edges = (outer.start..inner.start).chain(inner.end..outer.end);
    for x in edges {
        let rgb = blend_on_canvas(canvas, line.u.at(x), line.v.at(x));
        out.iter_mut().zip(rgb).for_each(|(plane, level)| plane[x] = level);
    }
    if inner.is_empty() {
        return;
    }
    let line = line.from(tile, inner.start);
    let out = out.map(|plane| &mut plane[inner.clone()]);
    if line.v.step == 0 {
        level.draw(tile.picture, line, out);
    } else {
        draw_sloping(tile.picture, line, out);
    }
}

/// Pixels whose neighbours all lie inside `picture`; positions are those of the picture.
fn draw_sloping(picture: &Picture, mut line: Line, [red, green, blue]: [&mut [u8]; 3]) {
    let stride = picture.stride();
    let pixels = picture.pixels();
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (u, v) = (line.u.start, line.v.start);
        let at = (v >> FRACTION) as usize * stride + (u >> FRACTION) as usize * 3;
        let (above, below) = (&pixels[at..at + 6], &pixels[at + stride..at + stride + 6]);
        let (fx, fy) = (weight(u), weight(v));
        *r = blend([above[0], above[3], below[0], below[3]], fx, fy);
        *g = blend([above[1], above[4], below[1], below[4]], fx, fy);
        *b = blend([above[2], above[5], below[2], below[5]], fx, fy);
        line = line.next();
    }
}

fn blend_on_canvas(canvas: &Canvas, u: i64, v: i64) -> [u8; 3] {
    let (x, y) = (u >> FRACTION, v >> FRACTION);
    let above = (canvas.pixel(x, y), canvas.pixel(x + 1, y));
    let below = (canvas.pixel(x, y + 1), canvas.pixel(x + 1, y + 1));
    let (fx, fy) = (weight(u), weight(v));
    let level = |c: usize| blend([above.0[c], above.1[c], below.0[c], below.1[c]], fx, fy);
    [level(0), level(1), level(2)]
}

/// Weight of the right or lower neighbour, in 256ths.
#[inline(always)]
pub(super) fn weight(position: i64) -> u32 {
    (position >> (FRACTION - WEIGHT)) as u32 & ((1 << WEIGHT) - 1)
}

/// Upper left, upper right, lower left, lower right.
#[inline(always)]
fn blend(near: [u8; 4], fx: u32, fy: u32) -> u8 {
    let [a, b, c, d] = near;
    let above = mix(u32::from(a), u32::from(b), fx);
    let below = mix(u32::from(c), u32::from(d), fx);
    rounded(mix(above, below, fy))
}

/// A weighted sum, 256 times as large as its parts.
#[inline(always)]
fn mix(a: u32, b: u32, weight_of_b: u32) -> u32 {
    a * ((1 << WEIGHT) - weight_of_b) + b * weight_of_b
}

/// A level from a sum that was mixed twice.
#[inline(always)]
fn rounded(sum: u32) -> u8 {
    ((sum + (1 << (2 * WEIGHT - 1))) >> (2 * WEIGHT)) as u8
}

#[cfg(test)]
mod tests {
    use super::super::super::Size;
    use super::super::super::random::{Purpose, Random};
    use super::super::affine::AffineRange;
    use super::super::mosaic;
    use super::*;

    fn noise(width: u32, height: u32, seed: u64) -> Picture {
        let mut random = Random::new(seed, 0, 0, Purpose::Order);
        let pixels = (0..width * height * 3).map(|_| random.below(256) as u8).collect();
        Picture::new(width, height, pixels)
    }

    /// Every pixel by the definition, from the painted canvas in floating point.
    fn reference(canvas: &Canvas, affine: &Affine) -> Vec<f64> {
        let [width, height] = affine.size.sides().map(|side| side as usize);
        let inverse = affine.inverse();
        let mut planes = vec![0.0; 3 * width * height];
        for y in 0..height {
            for x in 0..width {
                let (u, v) = inverse.map(x as f64 + 0.5, y as f64 + 0.5);
                let round = |p: f64| ((p - 0.5) * 256.0 + 0.5).floor() / 256.0;
                let (u, v) = (round(u), round(v));
                let (x0, y0) = (u.floor() as i64, v.floor() as i64);
                let (fx, fy) = (u - u.floor(), v - v.floor());
                for c in 0..3 {
                    let get = |dx, dy| f64::from(canvas.pixel(x0 + dx, y0 + dy)[c]);
                    planes[(c * height + y) * width + x] = get(0, 0) * (1.0 - fx) * (1.0 - fy)
                        + get(1, 0) * fx * (1.0 - fy)
                        + get(0, 1) * (1.0 - fx) * fy
                        + get(1, 1) * fx * fy;
                }
            }
        }
        planes
    }

    #[test]
    fn equals_painting_the_canvas_and_sampling_it() {
        let pictures = [noise(64, 48, 1), noise(40, 64, 2), noise(64, 64, 3), noise(64, 1, 4)];
        let strong = AffineRange { degrees: 180.0, translate: 0.5, scale: 0.9, shear: 40.0 };
        let usual = AffineRange { translate: 0.1, scale: 0.5, ..Default::default() };
        for sample in 0..60 {
            let range = if sample % 2 == 0 { strong } else { usual };
            let mut random = Random::new(0, 0, sample, Purpose::Mosaic);
            let members = std::array::from_fn(|i| (&pictures[i], &[][..]));
            let canvas = mosaic::lay_out(members, 64, &mut random);
            let size = [(64, 64), (64, 96), (96, 32)][sample as usize % 3].into();
            let affine = Affine::draw(&range, Size::square(128), size, &mut random);
            let expected = reference(&canvas, &affine);
            // A position on the verge of a 256th may round either way: one level of slack, rarely.
            let off = |(got, want): &(u8, f64)| (f64::from(*got) - want).abs() > 0.501;
            let pairs: Vec<_> = render(&canvas, &affine).into_iter().zip(expected).collect();
            assert!(pairs.iter().filter(|p| off(p)).count() <= 6, "sample {sample}");
            assert!(pairs.iter().all(|(got, want)| (f64::from(*got) - want).abs() < 2.5));
        }
    }

    #[test]
    fn a_slight_tilt_is_nearly_none_and_a_strong_one_is_not() {
        let pictures = [noise(64, 48, 1), noise(40, 64, 2), noise(64, 64, 3), noise(64, 1, 4)];
        let mut random = Random::new(0, 0, 3, Purpose::Mosaic);
        let canvas =
            mosaic::lay_out(std::array::from_fn(|i| (&pictures[i], &[][..])), 64, &mut random);
        let range = AffineRange { degrees: 20.0, ..Default::default() };
        let affine = Affine::draw(&range, Size::square(128), Size::square(64), &mut random);
        let plain = render(&canvas, &affine);
        let off = |strength| {
            let tilt = Tilt::draw(strength, Size::square(128), &mut random);
            let tilted = render_tilted(&canvas, &tilt, &affine);
            tilted.iter().zip(&plain).filter(|(a, b)| a.abs_diff(**b) > 8).count()
        };
        // A shift of a hundredth of a pixel at most.
        let counts = [1e-6, 1e-2].map(off);
        assert!(counts[0] < plain.len() / 100 && counts[1] > plain.len() / 3, "{counts:?}");
    }

    #[test]
    fn the_centred_transform_copies_the_canvas() {
        let picture = noise(32, 20, 5);
        for size in [Size::square(32), Size { width: 32, height: 64 }] {
            let canvas = Canvas::centred(&picture, &[], size);
            let planes = render(&canvas, &Affine::centred(size, size));
            let out = Picture::from_planes(size.width, size.height, &planes);
            for y in 0..size.height {
                for x in 0..size.width {
                    assert_eq!(out.pixel(x, y), canvas.pixel(i64::from(x), i64::from(y)));
                }
            }
        }
    }

    #[test]
    fn a_transform_onto_a_line_gives_grey() {
        let picture = noise(8, 8, 6);
        let canvas = Canvas::centred(&picture, &[], Size::square(8));
        for matrix in
            [[1.0, 1.0, 0.0, 1.0, 1.0, 0.0], [0.0; 6], [1.0, 1.0, 0.0, 1.0, 1.0 + 1e-12, 0.0]]
        {
            let affine = Affine { matrix, scale: 1.0, size: Size::square(8) };
            assert_eq!(render(&canvas, &affine), [PADDING; 3 * 64]);
        }
    }

    #[test]
    fn ranges_agree_with_trying_every_pixel() {
        let one = 1i64 << FRACTION;
        for step in [0, 1, one / 3, one, -one / 3, -one, 5 * one / 2, -7 * one / 3] {
            for start in [-7 * one / 2, 0, one - 1, 3 * one, 20 * one + 5] {
                let steps = Steps { start, step };
                let tried: Vec<_> =
                    (0..30).filter(|&x| (2..9).contains(&(steps.at(x) >> FRACTION))).collect();
                let range = steps.range(2, 9, 30);
                assert_eq!(range.collect::<Vec<_>>(), tried, "{start} {step}");
            }
        }
    }
}
