//! Random perspective: the canvas is tilted about its middle before the affine transform, so that
//! one side comes nearer and the other recedes.

use super::super::Size;
use super::super::random::Random;

/// What is nearer to the eye than this share of the canvas's distance lies far outside the output,
/// or behind the eye.
const NEAREST: f64 = 0.1;

/// Maps the point at (x, y) from the middle to `(x, y) / (1 + by[0] x + by[1] y)`, the depth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tilt {
    middle: [f64; 2],
    /// Change of depth per canvas pixel, to the right and down.
    by: [f64; 2],
}

impl Tilt {
    pub const NONE: Self = Self { middle: [0.0; 2], by: [0.0; 2] };

    /// Draws both changes of depth, at most `strength`.
    pub fn draw(strength: f64, canvas: Size, random: &mut Random) -> Self {
        let by = [(); 2].map(|()| random.uniform(-strength, strength));
        Self { middle: canvas.sides().map(|side| f64::from(side) / 2.0), by }
    }

    pub fn is_none(&self) -> bool {
        self.by == [0.0; 2]
    }

    fn depth(&self, (x, y): (f64, f64)) -> f64 {
        1.0 + self.by[0] * (x - self.middle[0]) + self.by[1] * (y - self.middle[1])
    }

    fn divide(&self, (x, y): (f64, f64), depth: f64) -> (f64, f64) {
        let [cx, cy] = self.middle;
        (cx + (x - cx) / depth, cy + (y - cy) / depth)
    }

    /// The canvas point that is seen at (`x`, `y`); none where the canvas's plane is not, or is too
    /// near.
    ///
    /// With p = q / d(q) the depth is 1 / (1 - by p), so that the way back has the same form.
    pub fn seen_at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let back = Self { by: self.by.map(|v| -v), ..*self };
        let depth = back.depth((x, y));
        (depth > 0.0 && depth < 1.0 / NEAREST).then(|| back.divide((x, y), depth))
    }

    /// The outline of the box (left, top, right, bottom) after the tilt; the part of it that is too
    /// near is cut off. Empty when all of it is.
    pub fn outline(&self, [left, top, right, bottom]: [f64; 4]) -> Vec<(f64, f64)> {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        if self.is_none() {
            return corners.to_vec();
        }
        let depths = corners.map(|corner| self.depth(corner));
        let mut outline = Vec::with_capacity(5);
        for (i, next) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
            if depths[i] >= NEAREST {
                outline.push(self.divide(corners[i], depths[i]));
            }
            if (depths[i] >= NEAREST) != (depths[next] >= NEAREST) {
                let share = (NEAREST - depths[i]) / (depths[next] - depths[i]);
                let between = |a: f64, b: f64| a + (b - a) * share;
                let cut = (
                    between(corners[i].0, corners[next].0),
                    between(corners[i].1, corners[next].1),
                );
                outline.push(self.divide(cut, NEAREST));
            }
        }
        outline
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    #[test]
    fn a_tilt_is_undone() {
        for sample in 0..100 {
            let mut random = Random::new(0, 0, sample, Purpose::Perspective);
            let tilt = Tilt::draw(0.001, Size::square(640), &mut random);
            for point in [(0.0, 0.0), (320.0, 320.0), (600.0, 30.0)] {
                let (x, y) = tilt.divide(point, tilt.depth(point));
                let (u, v) = tilt.seen_at(x, y).unwrap();
                assert!((u - point.0).abs() < 1e-6 && (v - point.1).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn no_strength_moves_nothing() {
        let tilt =
            Tilt::draw(0.0, Size::square(64), &mut Random::new(0, 0, 0, Purpose::Perspective));
        assert!(tilt.is_none());
        assert_eq!(tilt.seen_at(3.0, 60.0), Some((3.0, 60.0)));
        let corners = [(1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0)];
        assert_eq!(tilt.outline([1.0, 2.0, 3.0, 4.0]), corners);
    }

    #[test]
    fn what_lies_behind_the_eye_is_cut_off() {
        // Depth is 0 at x = 200.
        let tilt = Tilt { middle: [100.0; 2], by: [-0.01, 0.0] };
        assert_eq!(tilt.outline([210.0, 0.0, 220.0, 9.0]), []);
        let outline = tilt.outline([150.0, 80.0, 250.0, 120.0]);
        assert_eq!(outline.len(), 4);
        let right = outline.iter().map(|p| p.0).fold(0.0, f64::max);
        assert!((right - (100.0 + 90.0 / NEAREST)).abs() < 1e-6, "{right}");
        // What is seen there is the canvas, up to where it is too near.
        assert_eq!(tilt.seen_at(-10.0, 100.0), None);
        assert!(tilt.seen_at(right - 1.0, 100.0).unwrap().0 < 190.0);
        assert_eq!(tilt.seen_at(right + 1.0, 100.0), None);
    }
}
