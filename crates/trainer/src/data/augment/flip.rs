//! Mirroring a picture, as planes `[3, height, width]`, and its objects.

use super::super::{Object, Size};

/// Left to right.
pub fn horizontally(planes: &mut [u8], objects: &mut [Object], size: Size) {
    planes.chunks_exact_mut(size.width as usize).for_each(<[u8]>::reverse);
    objects.iter_mut().for_each(|object| object.bbox[0] = 1.0 - object.bbox[0]);
}

/// Top to bottom.
pub fn vertically(planes: &mut [u8], objects: &mut [Object], size: Size) {
    let [width, height] = size.sides().map(|side| side as usize);
    for plane in planes.chunks_exact_mut(width * height) {
        let (upper, lower) = plane.split_at_mut(width * (height - height / 2));
        let mirrored = upper.chunks_exact_mut(width).zip(lower.chunks_exact_mut(width).rev());
        mirrored.for_each(|(above, below)| above.swap_with_slice(below));
    }
    objects.iter_mut().for_each(|object| object.bbox[1] = 1.0 - object.bbox[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_rows_or_their_order() {
        let original: Vec<u8> = (0..27).collect();
        let object = Object { class: 0, bbox: [0.25, 0.75, 0.5, 0.5] };
        let (mut planes, mut objects) = (original.clone(), [object]);
        horizontally(&mut planes, &mut objects, Size::square(3));
        assert_eq!(planes[..9], [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        assert_eq!(objects[0].bbox, [0.75, 0.75, 0.5, 0.5]);
        horizontally(&mut planes, &mut objects, Size::square(3));
        assert_eq!((&planes, objects), (&original, [object]));
        vertically(&mut planes, &mut objects, Size::square(3));
        assert_eq!(planes[..9], [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        assert_eq!(objects[0].bbox, [0.25, 0.25, 0.5, 0.5]);
    }

    #[test]
    fn mirrors_rectangles() {
        let original: Vec<u8> = (0..18).collect();
        let size = Size { width: 2, height: 3 };
        let mut planes = original.clone();
        horizontally(&mut planes, &mut [], size);
        assert_eq!(planes[..6], [1, 0, 3, 2, 5, 4]);
        let mut planes = original;
        vertically(&mut planes, &mut [], size);
        assert_eq!(planes[6..12], [10, 11, 8, 9, 6, 7]);
    }
}
