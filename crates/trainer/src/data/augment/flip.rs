//! Mirroring a square picture, as planes `[3, side, side]`, and its objects.

use super::super::Object;

/// Left to right.
pub fn horizontally(planes: &mut [u8], objects: &mut [Object], side: u32) {
    planes.chunks_exact_mut(side as usize).for_each(<[u8]>::reverse);
    objects.iter_mut().for_each(|object| object.bbox[0] = 1.0 - object.bbox[0]);
}

/// Top to bottom.
pub fn vertically(planes: &mut [u8], objects: &mut [Object], side: u32) {
    let side = side as usize;
    for plane in planes.chunks_exact_mut(side * side) {
        let (upper, lower) = plane.split_at_mut(side * (side - side / 2));
        let mirrored = upper.chunks_exact_mut(side).zip(lower.chunks_exact_mut(side).rev());
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
        horizontally(&mut planes, &mut objects, 3);
        assert_eq!(planes[..9], [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        assert_eq!(objects[0].bbox, [0.75, 0.75, 0.5, 0.5]);
        horizontally(&mut planes, &mut objects, 3);
        assert_eq!((&planes, objects), (&original, [object]));
        vertically(&mut planes, &mut objects, 3);
        assert_eq!(planes[..9], [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        assert_eq!(objects[0].bbox, [0.25, 0.25, 0.5, 0.5]);
    }
}
