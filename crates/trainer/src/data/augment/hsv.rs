//! Colour jitter: the hue is turned, saturation and value are multiplied. Computed in `f32` from
//! 8-bit pixels and rounded once at the end; only exactly specified operations, so that the bits
//! are the same on every CPU.

use super::super::random::Random;
use super::wide::{self, Loop};

/// 2^23: a sum with it has no room for a fraction, so that the level, rounded half to even, is left
/// in its lowest byte. A cast would round down and be slower.
const TO_WHOLE: f32 = 8_388_608.0;

/// Largest strengths: shares of the hue circle, of the saturation and of the value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HsvRange {
    pub hue: f64,
    pub saturation: f64,
    pub value: f64,
}

/// One drawn jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hsv {
    /// Turn of the hue in sixths of the circle, 0 to 6.
    pub hue: f32,
    /// Factors.
    pub saturation: f32,
    pub value: f32,
}

impl Hsv {
    pub const NONE: Self = Self { hue: 0.0, saturation: 1.0, value: 1.0 };

    pub fn draw(range: &HsvRange, random: &mut Random) -> Self {
        let mut within = |by: f64| random.uniform(-by, by);
        let turn = within(range.hue);
        let turn = if turn < 0.0 { turn + 1.0 } else { turn };
        Self {
            // A tiny negative turn rounds to the whole circle, which `jitter` can't take.
            hue: ((turn * 6.0) as f32).min(5.999_999),
            saturation: (1.0 + within(range.saturation)) as f32,
            value: (1.0 + within(range.value)) as f32,
        }
    }

    /// Applies to planes `[3, ...]`: red, green, blue.
    pub fn apply(&self, planes: &mut [u8]) {
        if *self == Self::NONE {
            return;
        }
        wide::run(Jitter { hsv: self, planes });
    }

    /// One pixel. Free of branches and calls, so that the loop over it turns into vector code.
    #[inline(always)]
    fn jitter(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let (high, low) = (r.max(g).max(b), r.min(g).min(b));
        let is_red = r == high;
        let is_green = g == high;
        let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
        let (value, spread) = (f32::from(high), f32::from(high - low));
        let (difference, sector) = if is_red {
            (g - b, 6.0)
        } else if is_green {
            (b - r, 2.0)
        } else {
            (r - g, 4.0)
        };
        // Black and greys have no hue; any will do, since nothing of it is left in the end.
        let hue = difference / spread.max(1.0) + sector + self.hue;
        let saturation = (spread / value.max(1.0) * self.saturation).min(1.0);
        let value = (value * self.value).min(255.0);
        let chroma = value * saturation;
        let at = |offset| level(below_six(below_six(hue + offset)), value, chroma);
        [at(5.0), at(3.0), at(1.0)]
    }
}

/// A jitter of planes `[3, ...]`.
struct Jitter<'a> {
    hsv: &'a Hsv,
    planes: &'a mut [u8],
}

impl Loop for Jitter<'_> {
    #[inline(always)]
    fn run(self) {
        let (red, rest) = self.planes.split_at_mut(self.planes.len() / 3);
        let (green, blue) = rest.split_at_mut(red.len());
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            [*r, *g, *b] = self.hsv.jitter([*r, *g, *b]);
        }
    }
}

/// A channel whose hue lies `k` sixths of the circle from where it is strongest.
#[inline(always)]
fn level(k: f32, value: f32, chroma: f32) -> u8 {
    // Not `min`, which would look for numbers that are none: there are no such here.
    let share = if k < 4.0 - k { k } else { 4.0 - k }.clamp(0.0, 1.0);
    (value - chroma * share + TO_WHOLE).to_bits() as u8
}

#[inline(always)]
fn below_six(k: f32) -> f32 {
    if k >= 6.0 { k - 6.0 } else { k }
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    fn jittered(hsv: Hsv, rgb: [u8; 3]) -> [u8; 3] {
        let mut planes = rgb;
        hsv.apply(&mut planes);
        planes
    }

    #[test]
    fn a_third_of_the_circle_turns_red_to_green_to_blue() {
        let turn = Hsv { hue: 2.0, ..Hsv::NONE };
        assert_eq!(jittered(turn, [255, 0, 0]), [0, 255, 0]);
        assert_eq!(jittered(turn, [0, 255, 0]), [0, 0, 255]);
        assert_eq!(jittered(turn, [10, 20, 200]), [200, 10, 20]);
    }

    #[test]
    fn greys_keep_their_hue_and_saturation() {
        let hsv = Hsv { hue: 3.3, saturation: 1.7, value: 1.0 };
        for level in 0..=255 {
            assert_eq!(jittered(hsv, [level; 3]), [level; 3]);
        }
    }

    #[test]
    fn saturation_and_value_are_factors_with_a_ceiling() {
        let with = |saturation, value| Hsv { hue: 0.0, saturation, value };
        assert_eq!(jittered(with(0.5, 1.0), [200, 100, 100]), [200, 150, 150]);
        assert_eq!(jittered(with(9.0, 1.0), [200, 100, 100]), [200, 0, 0]);
        assert_eq!(jittered(with(1.0, 0.5), [200, 100, 40]), [100, 50, 20]);
        assert_eq!(jittered(with(1.0, 2.0), [200, 100, 100]), [255, 128, 128]);
        assert_eq!(jittered(with(0.0, 0.0), [200, 100, 40]), [0; 3]);
    }

    #[test]
    fn every_colour_survives_a_jitter_of_almost_nothing() {
        let almost = Hsv { hue: 0.0, saturation: 1.0, value: 0.999_999_9 };
        for i in 0..1u32 << 15 {
            let rgb = [i & 31, (i >> 5) & 31, i >> 10].map(|v| (v * 8 + v / 4) as u8);
            assert_eq!(jittered(almost, rgb), rgb);
        }
    }

    #[test]
    fn wide_vectors_change_no_bit() {
        let planes: Vec<u8> =
            (0..3 * 4099u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let range = HsvRange { hue: 0.5, saturation: 0.9, value: 0.9 };
        for sample in 0..20 {
            let hsv = Hsv::draw(&range, &mut Random::new(0, 0, sample, Purpose::Hsv));
            let (mut plain, mut wide) = (planes.clone(), planes.clone());
            Jitter { hsv: &hsv, planes: &mut plain }.run();
            hsv.apply(&mut wide);
            assert_eq!(plain, wide, "{hsv:?}");
        }
    }

    #[test]
    fn drawn_factors_stay_in_range() {
        let range = HsvRange { hue: 1.0, saturation: 1.0, value: 1.0 };
        for sample in 0..1000 {
            let hsv = Hsv::draw(&range, &mut Random::new(0, 0, sample, Purpose::Hsv));
            assert!((0.0..6.0).contains(&hsv.hue));
            assert!((0.0..=2.0).contains(&hsv.saturation) && (0.0..=2.0).contains(&hsv.value));
        }
    }
}
