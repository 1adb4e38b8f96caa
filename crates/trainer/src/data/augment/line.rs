//! Where the pixels of an output row read on the canvas, in fixed point: which of them read in a
//! rectangle, and the weights of the neighbours there.

use std::ops::Range;

use super::affine::Affine;
use super::canvas::{Rect, Tile};

/// Fraction bits of a position, and of a blending weight.
pub(super) const FRACTION: u32 = 32;
pub(super) const WEIGHT: u32 = 8;

/// Half a 256th, so that cutting off rounds.
pub(super) const ROUNDING: i64 = 1 << (FRACTION - WEIGHT - 1);

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
    pub fn of_row(inverse: &Affine, y: usize) -> Self {
        // Pixel centres lie at one half, on both sides; the third half rounds to 1/256.
        let (u, v) = inverse.map(0.5, y as f64 + 0.5);
        let steps = |start: f64, step: f64| Steps {
            start: fixed(start - 0.5) + ROUNDING,
            step: fixed(step),
        };
        Self { u: steps(u, inverse.matrix[0]), v: steps(v, inverse.matrix[3]) }
    }

    /// Output pixels whose upper left neighbour lies in `rect`.
    pub fn inside(&self, rect: Rect, len: usize) -> Range<usize> {
        let a = self.u.range(rect.left, rect.right, len);
        let b = self.v.range(rect.top, rect.bottom, len);
        let start = a.start.max(b.start);
        start..a.end.min(b.end).max(start)
    }

    /// The line from output pixel `x` on, in positions of the tile's picture.
    pub fn from(&self, tile: &Tile, x: usize) -> Self {
        let shifted = |steps: Steps, origin: i64| Steps {
            start: steps.at(x) - (origin << FRACTION),
            ..steps
        };
        Self { u: shifted(self.u, tile.left), v: shifted(self.v, tile.top) }
    }

    #[inline(always)]
    pub fn next(&self) -> Self {
        let next = |steps: Steps| Steps { start: steps.start + steps.step, ..steps };
        Self { u: next(self.u), v: next(self.v) }
    }
}

/// A position in fixed point.
pub(super) fn fixed(value: f64) -> i64 {
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

/// Weight of the right or lower neighbour, in 256ths.
#[inline(always)]
pub(super) fn weight(position: i64) -> u32 {
    (position >> (FRACTION - WEIGHT)) as u32 & ((1 << WEIGHT) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
