//! Training samples: mosaic or letterbox, copy-paste, random perspective and affine, mixup, colour
//! jitter, flips. Each step is a pure function of its input, its strengths and a stream of random
//! numbers; this module strings them together.

pub mod affine;
pub mod boxes;
pub mod canvas;
pub mod copy_paste;
pub mod flip;
pub mod hsv;
mod level;
pub mod mixup;
pub mod mosaic;
pub mod perspective;
pub mod render;
mod wide;

use std::sync::Arc;

use ybox_spec::augmentation::{AugmentPlan, Strengths};
use ybox_spec::config::TrainConfig;

use self::affine::{Affine, AffineRange};
use self::canvas::Canvas;
use self::copy_paste::Shape;
use self::hsv::{Hsv, HsvRange};
use self::perspective::Tilt;
use super::letterbox::STRIDE;
use super::random::{Purpose, Random};
use super::{DataError, Object, Picture, Size, Split};

/// Set in the key of a sample that is mixed into another one, so that it is not drawn as it is for
/// itself.
const PARTNER: u64 = 1 << 63;

/// How strong every augmentation is in which epoch, and what they are keyed by.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    pub seed: u64,
    /// Longer side of a training picture, before [`Augmentation::side_of`].
    pub side: u32,
    plan: AugmentPlan,
    /// Share by which the side may change.
    multi_scale: f64,
}

/// A training picture as planes `[3, height, width]` and the objects in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    pub planes: Vec<u8>,
    pub objects: Vec<Object>,
}

/// How large a picture is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Where it is laid out, at its longer side before [`Augmentation::side_of`].
    pub frame: Size,
    pub output: Size,
}

impl From<&TrainConfig> for Augmentation {
    fn from(config: &TrainConfig) -> Self {
        Self {
            seed: config.seed,
            side: config.imgsz,
            plan: AugmentPlan::of(config),
            multi_scale: config.multi_scale,
        }
    }
}

impl Augmentation {
    /// Longer side of the pictures of batch `batch` of epoch `epoch`, both from 0: a multiple of
    /// [`STRIDE`].
    pub fn side_of(&self, epoch: u32, batch: usize) -> u32 {
        if self.multi_scale == 0.0 {
            return self.side;
        }
        let strides = |share: f64| f64::from(self.side) * share / f64::from(STRIDE);
        let low = (strides(1.0 - self.multi_scale).ceil() as u32).max(1);
        let high = strides(1.0 + self.multi_scale).floor() as u32;
        let mut random = Random::new(self.seed, epoch, batch as u64, Purpose::Side);
        STRIDE * (low + random.below(u64::from(high - low) + 1) as u32)
    }

    /// Sample `index` of `split` as epoch `epoch` (from 0) sees it, in a square.
    pub fn apply(&self, split: &Split, index: usize, epoch: u32) -> Result<Augmented, DataError> {
        let square = Size::square(self.side);
        self.apply_sized(split, index, epoch, Sizes { frame: square, output: square })
    }

    /// The same with other sizes.
    pub fn apply_sized(
        &self,
        split: &Split,
        index: usize,
        epoch: u32,
        sizes: Sizes,
    ) -> Result<Augmented, DataError> {
        let strengths = self.plan.at(epoch);
        let stage = Stage { split, strengths, sizes };
        let streams = |key| move |purpose| Random::new(self.seed, epoch, key, purpose);
        let random = streams(index as u64);
        let mut sample = stage.lay_out(index, &random)?;
        let mut mix = random(Purpose::Mixup);
        if mix.chance(strengths.mixup) {
            let partner = mix.below(split.len() as u64) as usize;
            let second = stage.lay_out(partner, &streams(index as u64 | PARTNER))?;
            mixup::mix(&mut sample, second, mixup::draw(&mut mix));
        }
        stage.colour_and_flip(&mut sample, &random);
        Ok(sample)
    }
}

/// What an epoch does to every sample.
struct Stage<'a> {
    split: &'a Split,
    strengths: Strengths,
    sizes: Sizes,
}

impl Stage<'_> {
    /// Sample `index`, alone or in a mosaic, moved but not recoloured.
    fn lay_out(
        &self,
        index: usize,
        random: &impl Fn(Purpose) -> Random,
    ) -> Result<Augmented, DataError> {
        let mut mosaic = random(Purpose::Mosaic);
        let members = match mosaic.chance(self.strengths.mosaic) {
            true => mosaic::choose(index, self.split.len(), &mut mosaic).to_vec(),
            false => vec![index],
        };
        let pictures: Vec<Arc<Picture>> =
            members.iter().map(|&i| self.split.picture(i)).collect::<Result<_, _>>()?;
        let member =
            |i: usize| (pictures[i].as_ref(), self.split.samples[members[i]].objects.as_slice());
        let canvas = if members.len() == 1 {
            let (picture, objects) = member(0);
            Canvas::centred(picture, objects, self.sizes.frame)
        } else {
            mosaic::lay_out(std::array::from_fn(member), self.sizes.frame.longer(), &mut mosaic)
        };
        let copies = random(Purpose::CopyPaste);
        Ok(match self.paste(&canvas, &members, copies) {
            Some((painted, objects)) => self.move_all(&Canvas::painted(&painted, objects), random),
            None => self.move_all(&canvas, random),
        })
    }

    /// Copies objects of `members`, whose pictures are the canvas's tiles.
    fn paste(
        &self,
        canvas: &Canvas,
        members: &[usize],
        mut random: Random,
    ) -> Option<(Picture, Vec<canvas::Placed>)> {
        if self.strengths.copy_paste == 0.0 {
            return None;
        }
        let samples = members.iter().map(|&i| &self.split.samples[i]);
        let shapes: Vec<_> = samples
            .zip(&canvas.tiles)
            .flat_map(|(sample, tile)| {
                let labelled = sample.objects.iter().zip(&sample.polygons);
                labelled.filter_map(|(object, polygon)| Shape::on(tile, object.class, polygon))
            })
            .collect();
        copy_paste::paste(canvas, &shapes, self.strengths.copy_paste, &mut random)
    }

    /// From the canvas to the output: tilt and affine transform.
    fn move_all(&self, canvas: &Canvas, random: &impl Fn(Purpose) -> Random) -> Augmented {
        let now = &self.strengths;
        let size = Size { width: canvas.width, height: canvas.height };
        let range = AffineRange {
            degrees: now.degrees,
            translate: now.translate,
            scale: now.scale,
            shear: now.shear,
        };
        let affine = Affine::draw(&range, size, self.sizes.frame, &mut random(Purpose::Affine));
        let affine = affine.resized(self.sizes.output);
        let tilt = Tilt::draw(now.perspective, size, &mut random(Purpose::Perspective));
        Augmented {
            planes: render::render_tilted(canvas, &tilt, &affine),
            objects: boxes::transform(&canvas.objects, &tilt, &affine),
        }
    }

    fn colour_and_flip(&self, sample: &mut Augmented, random: &impl Fn(Purpose) -> Random) {
        let now = &self.strengths;
        let range = HsvRange { hue: now.hsv_h, saturation: now.hsv_s, value: now.hsv_v };
        Hsv::draw(&range, &mut random(Purpose::Hsv)).apply(&mut sample.planes);
        let mut flips = random(Purpose::Flip);
        if flips.chance(now.flipud) {
            flip::vertically(&mut sample.planes, &mut sample.objects, self.sizes.output);
        }
        if flips.chance(now.fliplr) {
            flip::horizontally(&mut sample.planes, &mut sample.objects, self.sizes.output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_multiples_of_the_stride_around_the_given_one() {
        let config = TrainConfig { imgsz: 320, multi_scale: 0.25, ..Default::default() };
        let augmentation = Augmentation::from(&config);
        let mut sides: Vec<_> = (0..200).map(|batch| augmentation.side_of(1, batch)).collect();
        assert_eq!(sides[7], augmentation.side_of(1, 7));
        sides.sort_unstable();
        sides.dedup();
        assert_eq!(sides, [256, 288, 320, 352, 384]);
        let fixed = Augmentation::from(&TrainConfig { imgsz: 320, ..Default::default() });
        assert_eq!(fixed.side_of(1, 7), 320);
    }
}
