//! The tight loop of `render` where nothing turns: a whole output line reads between two rows of a
//! picture, so these are blended first, for all columns at once, and then across. Half the work of
//! four neighbours per pixel, the same sums.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_madd_epi16, _mm_packs_epi32,
    _mm_packus_epi16, _mm_set1_epi32, _mm_srli_epi32, _mm_srli_si128, _mm_unpacklo_epi16,
};

use super::super::Picture;
use super::line::{FRACTION, Line, WEIGHT, weight};
use super::wide::{self, Loop};

const ONE: u32 = 1 << WEIGHT;

/// Taken from a blended value so that it fits a signed 16-bit number, which the CPU multiplies in
/// pairs.
const MIDDLE: u16 = 1 << 15;

/// What that takes from a sum with weights of [`ONE`] in all, and the half that rounds.
const CORRECTION: i32 = ((MIDDLE as i32) << WEIGHT) + (1 << (2 * WEIGHT - 1));

/// Where the weight of the right one of a pair stands.
const WEIGHT_OF_RIGHT: u32 = 16;

/// The lines of one tile: memory, and what they have in common.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Where the taps start, how far apart they are, how many there are.
    line: (i64, i64, usize),
    taps: Vec<Tap>,
    /// Both rows blended, 256 times a level less [`MIDDLE`]: red, green, blue, red, ...
    blended: Vec<i16>,
    /// Output pixels, from the lowest byte red, green, blue.
    pixels: Vec<u32>,
}

/// Where an output pixel reads in a blended row.
#[derive(Debug, Clone, Copy)]
struct Tap {
    /// Place of the left neighbour's red.
    place: usize,
    /// Weights of the right and the left neighbour, 16 bits each.
    weights: i32,
}

impl Tap {
    fn at(position: i64) -> Self {
        let right = weight(position);
        Self {
            place: (position >> FRACTION) as usize * 3,
            weights: ((right << WEIGHT_OF_RIGHT) | (ONE - right)) as i32,
        }
    }
}

impl Level {
    /// Pixels whose neighbours all lie inside `picture`, in whose positions `line` is; it does not
    /// move vertically.
    pub fn draw(&mut self, picture: &Picture, line: Line, planes: [&mut [u8]; 3]) {
        wide::run(Draw { level: self, picture, line, planes });
    }

    #[inline(always)]
    fn draw_line(&mut self, picture: &Picture, line: Line, [red, green, blue]: [&mut [u8]; 3]) {
        let ends = [line.u.start, line.u.at(red.len() - 1)].map(|u| (u >> FRACTION) as usize);
        let (first, last) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let (y, fy) = ((line.v.start >> FRACTION) as u32, weight(line.v.start));
        let columns = first * 3..(last + 2) * 3;
        self.blend_rows(&picture.row(y)[columns.clone()], &picture.row(y + 1)[columns], fy);
        self.tap(line.u.start - ((first as i64) << FRACTION), line.u.step, red.len());
        self.pixels.resize(red.len(), 0);
        for (pixel, tap) in self.pixels.iter_mut().zip(&self.taps) {
            *pixel = across(&self.blended, tap);
        }
        let planes = red.iter_mut().zip(green).zip(blue);
        for (((r, g), b), pixel) in planes.zip(&self.pixels) {
            [*r, *g, *b, _] = pixel.to_le_bytes();
        }
    }

    /// The taps from `start` on; those of the line before, where they are the same.
    fn tap(&mut self, start: i64, step: i64, len: usize) {
        if self.line != (start, step, len) {
            self.line = (start, step, len);
            self.taps.clear();
            self.taps.extend((0..len as i64).map(|x| Tap::at(start + x * step)));
        }
    }

    #[inline(always)]
    fn blend_rows(&mut self, above: &[u8], below: &[u8], weight_of_below: u32) {
        let (lower, upper) = (weight_of_below as u16, (ONE - weight_of_below) as u16);
        // `across` reads eight values for the six that it needs.
        self.blended.resize(above.len() + 2, 0);
        for ((blended, &a), &b) in self.blended.iter_mut().zip(above).zip(below) {
            *blended = ((u16::from(a) * upper + u16::from(b) * lower) ^ MIDDLE) as i16;
        }
    }
}

/// A line to draw.
struct Draw<'a> {
    level: &'a mut Level,
    picture: &'a Picture,
    line: Line,
    planes: [&'a mut [u8]; 3],
}

impl Loop for Draw<'_> {
    #[inline(always)]
    fn run(self) {
        self.level.draw_line(self.picture, self.line, self.planes);
    }
}

/// The pixel that `tap` reads.
#[inline(always)]
fn across(blended: &[i16], tap: &Tap) -> u32 {
    let near = &blended[tap.place..tap.place + 8];
    // SAFETY: every x86-64 CPU has SSE2, and `near` holds 16 bytes.
    unsafe {
        let near = _mm_loadu_si128(near.as_ptr().cast::<__m128i>());
        // Left and right value in turn: red, green, blue and something else.
        let pairs = _mm_unpacklo_epi16(near, _mm_srli_si128::<6>(near));
        let sums = _mm_madd_epi16(pairs, _mm_set1_epi32(tap.weights));
        let sums = _mm_add_epi32(sums, _mm_set1_epi32(CORRECTION));
        let levels = _mm_srli_epi32::<{ 2 * WEIGHT as i32 }>(sums);
        let words = _mm_packs_epi32(levels, levels);
        _mm_cvtsi128_si32(_mm_packus_epi16(words, words)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Steps;
    use super::*;

    /// All four neighbours at once.
    fn expected(picture: &Picture, u: i64, v: i64, channel: usize) -> u8 {
        let (x, y) = ((u >> FRACTION) as u32, (v >> FRACTION) as u32);
        let (fx, fy) = (weight(u), weight(v));
        let at = |dx, dy| u32::from(picture.pixel(x + dx, y + dy)[channel]);
        let above = at(0, 0) * (ONE - fx) + at(1, 0) * fx;
        let below = at(0, 1) * (ONE - fx) + at(1, 1) * fx;
        let sum = above * (ONE - fy) + below * fy;
        ((sum + (1 << (2 * WEIGHT - 1))) >> (2 * WEIGHT)) as u8
    }

    #[test]
    fn rows_first_gives_the_sums_of_four_neighbours() {
        let levels = [0u8, 255, 254, 1, 128, 127, 255, 0, 77];
        let pixels = (0..12 * 3 * 3).map(|i| levels[(i * i + i / 7) % levels.len()]).collect();
        let picture = Picture::new(12, 3, pixels);
        let one = 1i64 << FRACTION;
        for (start, step) in [(0, one / 3), (one / 7, one / 2 + 12345), (10 * one, -one / 3)] {
            for v in [0, 1 << (FRACTION - WEIGHT), one / 2, one - 1, one + one / 3] {
                let line = Line { u: Steps { start, step }, v: Steps { start: v, step: 0 } };
                let (mut planes, mut plain) = ([[0u8; 18]; 3], [[0u8; 18]; 3]);
                let [r, g, b] = &mut planes;
                Level::default().draw(&picture, line, [r, g, b]);
                let [r, g, b] = &mut plain;
                Level::default().draw_line(&picture, line, [r, g, b]);
                assert_eq!(planes, plain);
                for (channel, plane) in planes.iter().enumerate() {
                    for (x, &level) in plane.iter().enumerate() {
                        assert_eq!(level, expected(&picture, line.u.at(x), v, channel));
                    }
                }
            }
        }
    }
}
