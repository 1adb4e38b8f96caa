//! Copy-paste (Ghiasi et al. 2021) in the form that is usual for YOLO: objects that have a polygon
//! are pasted once more, mirrored, at the mirrored place of the same canvas, where they don't hide
//! what is there.

use super::super::random::Random;
use super::super::{Picture, Polygon};
use super::canvas::{Canvas, Placed, Rect, Tile};

/// A copy may cover less than this share of any object's box.
const MAX_COVERED: f64 = 0.3;

/// An object's outline in canvas pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    class: u32,
    points: Vec<[f64; 2]>,
    /// The part of the canvas where its picture shows.
    visible: Rect,
}

impl Shape {
    /// The outline on its tile; none of an object that has no polygon.
    pub fn on(tile: &Tile, class: u32, polygon: &Polygon) -> Option<Self> {
        let [width, height] = [tile.picture.width(), tile.picture.height()].map(f64::from);
        let place = |&[x, y]: &[f32; 2]| {
            [f64::from(x) * width + tile.left as f64, f64::from(y) * height + tile.top as f64]
        };
        let points = polygon.iter().map(place).collect();
        (!polygon.is_empty()).then_some(Self { class, points, visible: tile.visible })
    }

    /// Left and right exchanged on a canvas that is `width` wide.
    fn mirrored(&self, width: u32) -> Self {
        let Rect { left, right, .. } = self.visible;
        let whole = i64::from(width);
        let visible = Rect { left: whole - right, right: whole - left, ..self.visible };
        let points = self.points.iter().map(|[x, y]| [f64::from(width) - x, *y]).collect();
        Self { points, visible, ..*self }
    }

    /// The box around what shows of it; none if nothing does.
    fn placed(&self) -> Option<Placed> {
        let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let bounds = self
            .points
            .iter()
            .fold(start, |b, [x, y]| [b[0].min(*x), b[1].min(*y), b[2].max(*x), b[3].max(*y)]);
        let Rect { left, top, right, bottom } = self.visible;
        let corners = [
            bounds[0].max(left as f64),
            bounds[1].max(top as f64),
            bounds[2].min(right as f64),
            bounds[3].min(bottom as f64),
        ];
        let seen = corners[2] > corners[0] && corners[3] > corners[1];
        seen.then_some(Placed { class: self.class, corners })
    }

    /// Where the row through `y` enters and leaves the outline, by the even-odd rule.
    fn crossings(&self, y: f64) -> Vec<f64> {
        let next = self.points.iter().cycle().skip(1);
        let mut crossings: Vec<_> = self
            .points
            .iter()
            .zip(next)
            .filter(|([_, y0], [_, y1])| (*y0 <= y) != (*y1 <= y))
            .map(|([x0, y0], [x1, y1])| x0 + (y - y0) * (x1 - x0) / (y1 - y0))
            .collect();
        crossings.sort_unstable_by(f64::total_cmp);
        crossings
    }

    /// Paints what `original` shows at the mirrored place over this outline: the pixels whose
    /// middle lies in it.
    fn paint(&self, original: &Picture, onto: &mut Picture) {
        for y in self.visible.top..self.visible.bottom {
            for pair in self.crossings(y as f64 + 0.5).chunks_exact(2) {
                let [start, end] = [pair[0], pair[1]].map(|x| (x - 0.5).ceil() as i64);
                for x in start.max(self.visible.left)..end.min(self.visible.right) {
                    let (x, y) = (x as u32, y as u32);
                    onto.set_pixel(x, y, original.pixel(original.width() - 1 - x, y));
                }
            }
        }
    }
}

/// Pastes each of `shapes` with probability `p`; every shape takes one draw. Returns the painted
/// canvas with its objects, or nothing where nothing was pasted.
pub fn paste(
    canvas: &Canvas,
    shapes: &[Shape],
    p: f64,
    random: &mut Random,
) -> Option<(Picture, Vec<Placed>)> {
    let mut objects = canvas.objects.clone();
    let mut copies = Vec::new();
    for shape in shapes {
        let chosen = random.chance(p);
        let copy = shape.mirrored(canvas.width);
        let Some(placed) = copy.placed().filter(|_| chosen) else { continue };
        if objects.iter().all(|object| covered(object, &placed) < MAX_COVERED) {
            objects.push(placed);
            copies.push(copy);
        }
    }
    if copies.is_empty() {
        return None;
    }
    let original = canvas.paint();
    let mut painted = original.clone();
    copies.iter().for_each(|copy| copy.paint(&original, &mut painted));
    Some((painted, objects))
}

/// Share of the box of `object` that the one of `by` covers.
fn covered(object: &Placed, by: &Placed) -> f64 {
    let [a, b] = [object.corners, by.corners];
    let overlap = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    overlap(0, 2) * overlap(1, 3) / ((a[2] - a[0]) * (a[3] - a[1]))
}

#[cfg(test)]
mod tests {
    use super::super::super::Object;
    use super::super::super::random::Purpose;
    use super::*;

    const RED: [u8; 3] = [255, 0, 0];

    /// A red triangle, left of the middle of a black picture, and its label.
    fn triangle() -> (Picture, Object, Polygon) {
        let mut picture = Picture::filled(40, 20, [0; 3]);
        for y in 4..12 {
            (2..y - 1).for_each(|x| picture.set_pixel(x, y, RED));
        }
        let polygon = [[2.0, 4.0], [2.0, 12.0], [10.0, 12.0]];
        let polygon = polygon.map(|[x, y]| [x / 40.0, y / 20.0]).to_vec();
        let bbox = [6.0 / 40.0, 8.0 / 20.0, 8.0 / 40.0, 8.0 / 20.0];
        (picture, Object { class: 1, bbox }, polygon)
    }

    fn random() -> Random {
        Random::new(0, 0, 0, Purpose::CopyPaste)
    }

    #[test]
    fn a_copy_is_the_mirrored_object_with_its_box() {
        let (picture, object, polygon) = triangle();
        let mut canvas = Canvas::new(40, 20);
        canvas.add(&picture, &[object], 0, 0);
        let shape = Shape::on(&canvas.tiles[0], 1, &polygon).unwrap();
        let (painted, objects) = paste(&canvas, &[shape], 1.0, &mut random()).unwrap();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0], canvas.objects[0]);
        assert_eq!(objects[1].class, 1);
        let found = objects[1].corners.map(|v| (v * 1e4).round() / 1e4);
        assert_eq!(found, [30.0, 4.0, 38.0, 12.0]);
        // The edge runs through the middles of the diagonal's pixels, which are not copied.
        let drawn = |x, y| (4..12).contains(&y) && (2..y - 1).contains(&x);
        let copied = |x, y| (4..12).contains(&y) && (2..y - 2).contains(&(39 - x));
        for (x, y) in (0..40).flat_map(|x| (0..20).map(move |y| (x, y))) {
            let red = painted.pixel(x as u32, y as u32) == RED;
            assert_eq!(red, drawn(x, y) || copied(x, y), "{x} {y}");
        }
    }

    #[test]
    fn nothing_is_pasted_over_an_object_or_without_a_polygon() {
        let (picture, object, polygon) = triangle();
        let hidden = Object { class: 2, bbox: [34.0 / 40.0, 0.4, 0.1, 0.1] };
        let mut canvas = Canvas::new(40, 20);
        canvas.add(&picture, &[object, hidden], 0, 0);
        let shape = Shape::on(&canvas.tiles[0], 1, &polygon).unwrap();
        assert_eq!(paste(&canvas, std::slice::from_ref(&shape), 1.0, &mut random()), None);
        canvas.objects.pop();
        assert_eq!(paste(&canvas, &[shape], 0.0, &mut random()), None);
        assert_eq!(Shape::on(&canvas.tiles[0], 1, &Polygon::new()), None);
    }

    #[test]
    fn a_copy_shows_no_more_than_its_picture_did() {
        let (picture, object, polygon) = triangle();
        let mut canvas = Canvas::new(40, 20);
        // Of the triangle the columns up to 4 are out of sight.
        canvas.add(&picture, &[object], -4, 0);
        let shape = Shape::on(&canvas.tiles[0], 1, &polygon).unwrap();
        let (painted, objects) = paste(&canvas, &[shape], 1.0, &mut random()).unwrap();
        let [left, .., right, _] = objects[1].corners;
        assert_eq!([left, right].map(f64::round), [34.0, 40.0]);
        assert_eq!(painted.pixel(39, 11), RED);
    }
}
