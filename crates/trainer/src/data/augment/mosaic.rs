//! Mosaic: four pictures around a random centre on a canvas of twice the side. The affine
//! transform that follows cuts it back.

use super::super::random::Random;
use super::super::{Object, Picture};
use super::canvas::Canvas;

/// The pictures of a mosaic: the sample itself and three drawn from all `len` samples.
pub fn choose(index: usize, len: usize, random: &mut Random) -> [usize; 4] {
    let mut other = || random.below(len as u64) as usize;
    [index, other(), other(), other()]
}

/// Lays four pictures, with longer sides of `side`, around a centre drawn from the middle half of
/// the canvas: above left, above right, below left, below right, each touching the centre.
pub fn lay_out<'a>(
    members: [(&'a Picture, &[Object]); 4],
    side: u32,
    random: &mut Random,
) -> Canvas<'a> {
    let middle = u64::from(side);
    let x = (middle / 2 + random.below(middle)) as i64;
    let y = (middle / 2 + random.below(middle)) as i64;
    let mut canvas = Canvas::new(2 * side, 2 * side);
    for (i, (picture, objects)) in members.into_iter().enumerate() {
        let left = if i % 2 == 0 { x - i64::from(picture.width()) } else { x };
        let top = if i < 2 { y - i64::from(picture.height()) } else { y };
        canvas.add(picture, objects, left, top);
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    #[test]
    fn four_pictures_meet_in_a_centre_of_the_middle_half() {
        let pictures: [Picture; 4] =
            std::array::from_fn(|i| Picture::filled(64 - 8 * i as u32, 64, [i as u8; 3]));
        for sample in 0..200 {
            let mut random = Random::new(0, 0, sample, Purpose::Mosaic);
            let canvas = lay_out(std::array::from_fn(|i| (&pictures[i], &[][..])), 64, &mut random);
            let (x, y) = (canvas.tiles[3].left, canvas.tiles[3].top);
            assert!((32..96).contains(&x) && (32..96).contains(&y));
            for (i, (dx, dy)) in [(-1, -1), (0, -1), (-1, 0), (0, 0)].into_iter().enumerate() {
                assert_eq!(canvas.pixel(x + dx, y + dy), [i as u8; 3]);
            }
        }
    }

    #[test]
    fn partners_come_from_all_samples() {
        let mut seen = [false; 5];
        for sample in 0..40 {
            let mut random = Random::new(0, 0, sample, Purpose::Mosaic);
            let chosen = choose(2, 5, &mut random);
            assert_eq!(chosen[0], 2);
            chosen[1..].iter().for_each(|&i| seen[i] = true);
        }
        assert_eq!(seen, [true; 5]);
    }
}
