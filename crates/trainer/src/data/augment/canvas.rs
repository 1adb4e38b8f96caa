//! Pictures laid out on a grey plane, without painting it: what the affine transform samples from.
//! A letterboxed picture is a canvas with one tile, a mosaic one with four.

use ybox_picture::PADDING;

use super::super::{Object, Picture, Size};

/// Half-open: `left <= x < right`, `top <= y < bottom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub left: i64,
    pub top: i64,
    pub right: i64,
    pub bottom: i64,
}

impl Rect {
    pub fn contains(&self, x: i64, y: i64) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }
}

/// A picture on a canvas.
#[derive(Debug, Clone, Copy)]
pub struct Tile<'a> {
    pub picture: &'a Picture,
    /// Where the picture's first pixel would lie.
    pub left: i64,
    pub top: i64,
    /// The part of the canvas where the picture shows.
    pub visible: Rect,
}

/// An object in canvas pixels: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    pub class: u32,
    pub corners: [f64; 4],
}

/// Tiles that do not overlap, and the objects on them.
#[derive(Debug, Clone)]
pub struct Canvas<'a> {
    pub width: u32,
    pub height: u32,
    pub tiles: Vec<Tile<'a>>,
    pub objects: Vec<Placed>,
}

impl<'a> Canvas<'a> {
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, tiles: Vec::new(), objects: Vec::new() }
    }

    /// One picture in the middle, as letterboxing places it.
    pub fn centred(picture: &'a Picture, objects: &[Object], size: Size) -> Self {
        let margin = |all: u32, inner: u32| (i64::from(all) - i64::from(inner)).div_euclid(2);
        let left = margin(size.width, picture.width());
        let top = margin(size.height, picture.height());
        let mut canvas = Self::new(size.width, size.height);
        canvas.add(picture, objects, left, top);
        canvas
    }

    /// Lays `picture` with its first pixel at (`left`, `top`); what lies beyond the canvas does not
    /// show, objects are clipped, and those out of sight are dropped.
    pub fn add(&mut self, picture: &'a Picture, objects: &[Object], left: i64, top: i64) {
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        let visible = Rect {
            left: left.max(0),
            top: top.max(0),
            right: (left + i64::from(picture.width())).min(i64::from(self.width)),
            bottom: (top + i64::from(picture.height())).min(i64::from(self.height)),
        };
        self.tiles.push(Tile { picture, left, top, visible });
        let limits = [f64::from(self.width), f64::from(self.height)];
        self.objects.extend(objects.iter().filter_map(|object| {
            let [cx, cy, w, h] = object.bbox.map(f64::from);
            let corners = [
                (cx - w / 2.0) * width + left as f64,
                (cy - h / 2.0) * height + top as f64,
                (cx + w / 2.0) * width + left as f64,
                (cy + h / 2.0) * height + top as f64,
            ];
            let corners = clip(corners, limits);
            let seen = corners[2] > corners[0] && corners[3] > corners[1];
            seen.then_some(Placed { class: object.class, corners })
        }));
    }

    /// A canvas that `picture` covers.
    pub fn painted(picture: &'a Picture, objects: Vec<Placed>) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let mut canvas = Self::new(width, height);
        canvas.add(picture, &[], 0, 0);
        Self { objects, ..canvas }
    }

    /// The canvas as a picture.
    pub fn paint(&self) -> Picture {
        let mut painted = Picture::filled(self.width, self.height, [PADDING; 3]);
        for Tile { picture, left, top, visible } in &self.tiles {
            let bytes = |from: i64| 3 * from as usize;
            for y in visible.top..visible.bottom {
                let from = bytes(visible.left - left)..bytes(visible.right - left);
                let to = bytes(visible.left)..bytes(visible.right);
                painted.row_mut(y as u32)[to].copy_from_slice(&picture.row((y - top) as u32)[from]);
            }
        }
        painted
    }

    /// The colour at a place, which may lie outside.
    pub fn pixel(&self, x: i64, y: i64) -> [u8; 3] {
        match self.tiles.iter().find(|tile| tile.visible.contains(x, y)) {
            Some(tile) => tile.picture.pixel((x - tile.left) as u32, (y - tile.top) as u32),
            None => [PADDING; 3],
        }
    }
}

/// Corners kept within 0 to `limits`.
pub fn clip(corners: [f64; 4], limits: [f64; 2]) -> [f64; 4] {
    std::array::from_fn(|i| corners[i].clamp(0.0, limits[i % 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_clipped_to_the_canvas_and_dropped_out_of_sight() {
        let picture = Picture::filled(10, 10, [1; 3]);
        let object = |cx, w| Object { class: 0, bbox: [cx, 0.5, w, 0.2] };
        let mut canvas = Canvas::new(20, 20);
        canvas.add(&picture, &[object(0.5, 0.4), object(0.1, 0.2)], -5, 0);
        assert_eq!(canvas.tiles[0].visible, Rect { left: 0, top: 0, right: 5, bottom: 10 });
        let corners: Vec<_> = canvas.objects.iter().map(|o| o.corners.map(|v| v as f32)).collect();
        assert_eq!(corners, [[0.0, 4.0, 2.0, 6.0]]);
        assert_eq!(canvas.pixel(4, 9), [1; 3]);
        assert_eq!(canvas.pixel(5, 9), [PADDING; 3]);
        assert_eq!(canvas.pixel(-1, 0), [PADDING; 3]);
    }

    #[test]
    fn painting_gives_every_pixel() {
        let pictures = [Picture::filled(10, 6, [1; 3]), Picture::filled(9, 30, [2; 3])];
        let mut canvas = Canvas::new(20, 20);
        canvas.add(&pictures[0], &[], -3, 2);
        canvas.add(&pictures[1], &[], 15, 9);
        let painted = canvas.paint();
        for (x, y) in (0..20).flat_map(|x| (0..20).map(move |y| (x, y))) {
            assert_eq!(painted.pixel(x, y), canvas.pixel(i64::from(x), i64::from(y)), "{x} {y}");
        }
    }
}
