//! Training samples: mosaic or letterbox, random affine, colour jitter, flips. Each step is a pure
//! function of its input, its strengths and a stream of random numbers; this module strings them
//! together.

pub mod affine;
pub mod boxes;
pub mod canvas;
pub mod flip;
pub mod hsv;
pub mod mosaic;
pub mod render;

use ybox_spec::config::TrainConfig;

use self::affine::{Affine, AffineRange};
use self::canvas::Canvas;
use self::hsv::{Hsv, HsvRange};
use super::random::{Purpose, Random};
use super::{DataError, Object, Split};

/// Strengths of every augmentation, and what they are keyed by.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    pub seed: u64,
    /// Side of a training picture.
    pub side: u32,
    /// Probability of a mosaic.
    pub mosaic: f64,
    /// First epoch, from 0, without mosaic.
    pub mosaic_end: u32,
    pub affine: AffineRange,
    pub hsv: HsvRange,
    /// Probabilities.
    pub flipud: f64,
    pub fliplr: f64,
}

/// A square training picture as planes `[3, side, side]` and the objects in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    pub planes: Vec<u8>,
    pub objects: Vec<Object>,
}

impl From<&TrainConfig> for Augmentation {
    fn from(config: &TrainConfig) -> Self {
        Self {
            seed: config.seed,
            side: config.imgsz,
            mosaic: config.mosaic,
            mosaic_end: config.epochs.saturating_sub(config.close_mosaic),
            affine: AffineRange {
                degrees: config.degrees,
                translate: config.translate,
                scale: config.scale,
                shear: config.shear,
            },
            hsv: HsvRange { hue: config.hsv_h, saturation: config.hsv_s, value: config.hsv_v },
            flipud: config.flipud,
            fliplr: config.fliplr,
        }
    }
}

impl Augmentation {
    /// Sample `index` of `split` as epoch `epoch` (from 0) sees it.
    pub fn apply(&self, split: &Split, index: usize, epoch: u32) -> Result<Augmented, DataError> {
        let random = |purpose| Random::new(self.seed, epoch, index as u64, purpose);
        let mut mosaic = random(Purpose::Mosaic);
        if mosaic.chance(self.mosaic) && epoch < self.mosaic_end {
            let chosen = mosaic::choose(index, split.len(), &mut mosaic);
            let pictures = chosen.map(|i| split.picture(i));
            let [a, b, c, d] = pictures;
            let pictures = [a?, b?, c?, d?];
            let members = std::array::from_fn(|i| {
                (pictures[i].as_ref(), split.samples[chosen[i]].objects.as_slice())
            });
            return Ok(self.finish(&mosaic::lay_out(members, self.side, &mut mosaic), random));
        }
        let picture = split.picture(index)?;
        let canvas = Canvas::centred(&picture, &split.samples[index].objects, self.side);
        Ok(self.finish(&canvas, random))
    }

    /// Everything after the layout.
    fn finish(&self, canvas: &Canvas, random: impl Fn(Purpose) -> Random) -> Augmented {
        let size = [canvas.width, canvas.height];
        let affine = Affine::draw(&self.affine, size, self.side, &mut random(Purpose::Affine));
        let mut planes = render::render(canvas, &affine);
        let mut objects = boxes::transform(&canvas.objects, &affine);
        Hsv::draw(&self.hsv, &mut random(Purpose::Hsv)).apply(&mut planes);
        let mut flips = random(Purpose::Flip);
        if flips.chance(self.flipud) {
            flip::vertically(&mut planes, &mut objects, self.side);
        }
        if flips.chance(self.fliplr) {
            flip::horizontally(&mut planes, &mut objects, self.side);
        }
        Augmented { planes, objects }
    }
}
