//! The random affine transform: rotation, scale, shear and translation about the canvas's middle,
//! as one matrix from canvas to output. What it does to pixels is `render`'s, to objects `boxes`'.

use super::super::random::Random;
use super::super::size::Size;

/// Largest strengths: degrees of rotation and shear, shares for translation and scale.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AffineRange {
    pub degrees: f64,
    pub translate: f64,
    pub scale: f64,
    pub shear: f64,
}

/// Maps a canvas point (x, y) to `(m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5])` of the output;
/// pixel (i, j) covers i to i + 1 and j to j + 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    pub matrix: [f64; 6],
    /// The drawn scale alone, without what shear adds.
    pub scale: f64,
    /// Of the output.
    pub size: Size,
}

impl Affine {
    /// The canvas's middle to the output's middle, nothing else.
    pub fn centred(canvas: Size, size: Size) -> Self {
        let shift = |from: u32, to: u32| f64::from(to) / 2.0 - f64::from(from) / 2.0;
        let [x, y] = [shift(canvas.width, size.width), shift(canvas.height, size.height)];
        Self { matrix: [1.0, 0.0, x, 0.0, 1.0, y], scale: 1.0, size }
    }

    /// Draws, in this order, the angle, the scale, both shears and both translations. The matrix is
    /// translation * shear * rotation and scale * (middle to origin). Sines and tangents come from
    /// `libm`, which gives the same bits on every machine.
    pub fn draw(range: &AffineRange, canvas: Size, size: Size, random: &mut Random) -> Self {
        let mut within = |middle: f64, by: f64| random.uniform(middle - by, middle + by);
        let angle = within(0.0, range.degrees).to_radians();
        let scale = within(1.0, range.scale);
        let shear = [(); 2].map(|()| libm::tan(within(0.0, range.shear).to_radians()));
        let shift = size.sides().map(|side| within(0.5, range.translate) * f64::from(side));
        let (cos, sin) = (scale * libm::cos(angle), scale * libm::sin(angle));
        // Rotation is counter-clockwise on the screen, where y points down.
        let a = cos - shear[0] * sin;
        let b = sin + shear[0] * cos;
        let c = shear[1] * cos - sin;
        let d = shear[1] * sin + cos;
        let middle = canvas.sides().map(|v| f64::from(v) / 2.0);
        let e = shift[0] - (a * middle[0] + b * middle[1]);
        let f = shift[1] - (c * middle[0] + d * middle[1]);
        Self { matrix: [a, b, e, c, d, f], scale, size }
    }

    /// The same picture at another size, by which its longer side is scaled; what the other side
    /// has more or less than that is shared by both of its ends.
    pub fn resized(&self, size: Size) -> Self {
        let (from, to) = (self.size.longer(), size.longer());
        let ratio = f64::from(to) / f64::from(from);
        // In whole numbers, so that nothing is shifted where nothing is over.
        let over = |new: u32, old: u32| {
            let over = i64::from(new) * i64::from(from) - i64::from(old) * i64::from(to);
            over as f64 / f64::from(from) / 2.0
        };
        let mut matrix = self.matrix.map(|v| v * ratio);
        matrix[2] += over(size.width, self.size.width);
        matrix[5] += over(size.height, self.size.height);
        Self { matrix, scale: self.scale * ratio, size }
    }

    pub fn map(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, e, c, d, f] = self.matrix;
        (a * x + b * y + e, c * x + d * y + f)
    }

    /// From output to canvas. Not finite when the transform flattens the canvas to a line.
    pub fn inverse(&self) -> Self {
        let [a, b, e, c, d, f] = self.matrix;
        let determinant = a * d - b * c;
        let [a, b, c, d] = [d, -b, -c, a].map(|v| v / determinant);
        let matrix = [a, b, -(a * e + b * f), c, d, -(c * e + d * f)];
        Self { matrix, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    const CANVAS: Size = Size::square(128);
    const SMALL: Size = Size::square(64);

    #[test]
    fn no_strength_is_the_centred_transform() {
        let mut random = Random::new(0, 0, 0, Purpose::Affine);
        let drawn = Affine::draw(&AffineRange::default(), CANVAS, SMALL, &mut random);
        assert_eq!(drawn, Affine::centred(CANVAS, SMALL));
        assert_eq!(drawn.map(64.0, 64.0), (32.0, 32.0));
        let (canvas, wide) = (Size { width: 64, height: 96 }, Size { width: 96, height: 32 });
        let drawn = Affine::draw(&AffineRange::default(), canvas, wide, &mut random);
        assert_eq!(drawn, Affine::centred(canvas, wide));
        assert_eq!(drawn.map(32.0, 48.0), (48.0, 16.0));
    }

    #[test]
    fn the_inverse_undoes_it() {
        let range = AffineRange { degrees: 180.0, translate: 0.5, scale: 0.9, shear: 30.0 };
        for sample in 0..100 {
            let mut random = Random::new(1, 0, sample, Purpose::Affine);
            let affine = Affine::draw(&range, (640, 480).into(), (320, 256).into(), &mut random);
            let (u, v) = affine.map(100.0, 200.0);
            let (x, y) = affine.inverse().map(u, v);
            assert!((x - 100.0).abs() < 1e-6 && (y - 200.0).abs() < 1e-6, "{x} {y}");
        }
    }

    #[test]
    fn another_size_scales_every_point() {
        let mut random = Random::new(1, 0, 0, Purpose::Affine);
        let range = AffineRange { degrees: 30.0, translate: 0.2, scale: 0.5, shear: 5.0 };
        let affine = Affine::draw(&range, CANVAS, SMALL, &mut random);
        let larger = affine.resized(Size::square(96));
        assert_eq!((larger.size.width, larger.scale), (96, affine.scale * 1.5));
        let ((x, y), (u, v)) = (affine.map(10.0, 90.0), larger.map(10.0, 90.0));
        assert!((u - 1.5 * x).abs() < 1e-9 && (v - 1.5 * y).abs() < 1e-9);
        assert_eq!(affine.resized(SMALL), affine);
    }

    #[test]
    fn a_rectangle_of_another_size_keeps_its_middle() {
        let wide = Size { width: 96, height: 64 };
        let affine = Affine::centred(wide, wide).resized(Size { width: 192, height: 96 });
        assert_eq!((affine.scale, affine.map(48.0, 32.0)), (2.0, (96.0, 48.0)));
        assert_eq!(affine.map(0.0, 0.0), (0.0, -16.0));
    }

    #[test]
    fn a_quarter_turn_is_counter_clockwise() {
        let range = AffineRange { degrees: 90.0, ..Default::default() };
        let two = Size::square(2);
        let sample = (0..10_000)
            .map(|s| Affine::draw(&range, two, two, &mut Random::new(0, 0, s, Purpose::Affine)))
            .max_by(|a, b| a.matrix[1].total_cmp(&b.matrix[1]))
            .unwrap();
        // The right edge's middle goes up.
        let (x, y) = sample.map(2.0, 1.0);
        assert!((x - 1.0).abs() < 0.01 && y.abs() < 0.01, "{x} {y}");
    }
}
