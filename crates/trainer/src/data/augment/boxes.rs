//! What tilt and affine transform do to objects, and which of them are still worth learning from.

use super::super::Object;
use super::affine::Affine;
use super::canvas::{Placed, clip};
use super::perspective::Tilt;

/// Customary limits: sides above 2 px, at least a tenth of the scaled area left, and no side more
/// than a hundred times the other.
const MIN_SIDE: f64 = 2.0;
const MIN_AREA_LEFT: f64 = 0.1;
const MAX_ASPECT: f64 = 100.0;

/// The objects that remain, as shares of the output.
pub fn transform(objects: &[Placed], tilt: &Tilt, affine: &Affine) -> Vec<Object> {
    objects.iter().filter_map(|object| transform_one(object, tilt, affine)).collect()
}

fn transform_one(object: &Placed, tilt: &Tilt, affine: &Affine) -> Option<Object> {
    let limits = affine.size.sides().map(f64::from);
    let corners = clip(bounds(&tilt.outline(object.corners), affine), limits);
    let (before, after) = (sides(object.corners), sides(corners));
    let area_before = before[0] * before[1] * affine.scale * affine.scale;
    let aspect = (after[0] / after[1]).max(after[1] / after[0]);
    let kept = after[0] > MIN_SIDE
        && after[1] > MIN_SIDE
        && after[0] * after[1] > MIN_AREA_LEFT * area_before
        && aspect < MAX_ASPECT;
    kept.then(|| Object { class: object.class, bbox: share(corners, limits) })
}

/// The upright rectangle around transformed points.
fn bounds(points: &[(f64, f64)], affine: &Affine) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    points
        .iter()
        .map(|&(x, y)| affine.map(x, y))
        .fold(start, |b, (x, y)| [b[0].min(x), b[1].min(y), b[2].max(x), b[3].max(y)])
}

fn sides(corners: [f64; 4]) -> [f64; 2] {
    [corners[2] - corners[0], corners[3] - corners[1]]
}

fn share([left, top, right, bottom]: [f64; 4], limits: [f64; 2]) -> [f32; 4] {
    let pixels = [(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top];
    std::array::from_fn(|i| (pixels[i] / limits[i % 2]) as f32)
}

#[cfg(test)]
mod tests {
    use super::super::super::Size;
    use super::*;

    fn kept(corners: [f64; 4]) -> bool {
        let affine = Affine::centred(Size::square(200), Size::square(200));
        !transform(&[Placed { class: 0, corners }], &Tilt::NONE, &affine).is_empty()
    }

    #[test]
    fn slivers_and_remnants_are_dropped() {
        assert!(kept([10.0, 10.0, 13.0, 13.0]));
        assert!(!kept([10.0, 10.0, 12.0, 50.0]), "2 px wide");
        assert!(kept([-80.0, 10.0, 20.0, 50.0]), "a fifth is left");
        assert!(!kept([-95.0, 10.0, 5.0, 50.0]), "a twentieth is left");
        assert!(!kept([210.0, 10.0, 250.0, 50.0]), "outside");
    }

    #[test]
    fn boxes_are_clipped_and_normalised() {
        let placed = Placed { class: 4, corners: [40.0, 60.0, 90.0, 80.0] };
        for (size, bbox) in
            [((100, 100), [0.2, 0.2, 0.4, 0.2]), ((100, 80), [0.2, 0.125, 0.4, 0.25])]
        {
            let affine = Affine::centred(Size::square(200), size.into());
            let object = Object { class: 4, bbox };
            assert_eq!(transform(&[placed], &Tilt::NONE, &affine), [object]);
        }
    }
}
