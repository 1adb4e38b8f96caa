//! Mixup (Zhang et al. 2018, for detection as in YOLOX): two augmented pictures become one, each
//! pixel a weighted mean, with the objects of both.

use super::super::random::Random;
use super::Augmented;

/// Draws the weight of the first picture, in 256ths, by Beta(32, 32): mostly near one half.
pub fn draw(random: &mut Random) -> u32 {
    (random.beta_32() * 256.0).round() as u32
}

/// `first * weight + second * (256 - weight)`, rounded; of pictures of one size.
pub fn mix(first: &mut Augmented, second: Augmented, weight: u32) {
    for (a, b) in first.planes.iter_mut().zip(&second.planes) {
        let sum = u32::from(*a) * weight + u32::from(*b) * (256 - weight);
        *a = ((sum + 128) >> 8) as u8;
    }
    first.objects.extend(second.objects);
}

#[cfg(test)]
mod tests {
    use super::super::super::Object;
    use super::*;

    #[test]
    fn pixels_are_blended_and_objects_joined() {
        let object = |class| Object { class, bbox: [0.5; 4] };
        let picture = |level: u8, class| Augmented {
            planes: vec![level, 255, 0],
            objects: vec![object(class)],
        };
        let mut mixed = picture(100, 1);
        mix(&mut mixed, picture(200, 2), 64);
        assert_eq!(mixed.planes, [175, 255, 0]);
        assert_eq!(mixed.objects, [object(1), object(2)]);
    }

    #[test]
    fn the_ends_are_one_picture_alone() {
        let picture = |level| Augmented { planes: vec![level; 3], objects: Vec::new() };
        for (weight, level) in [(256, 7), (0, 250)] {
            let mut mixed = picture(7);
            mix(&mut mixed, picture(250), weight);
            assert_eq!(mixed, picture(level));
        }
    }
}
