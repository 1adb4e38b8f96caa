//! Drawing shapes in whole-number arithmetic, so that every machine draws the same pixels.

use image::{Rgb, RgbImage};

use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Disc,
    Square,
    Triangle,
}

impl Shape {
    pub const ALL: [Self; 3] = [Self::Disc, Self::Square, Self::Triangle];

    pub fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Square => "square",
            Self::Triangle => "triangle",
        }
    }

    /// The colour around which instances vary.
    fn colour(self) -> [i32; 3] {
        match self {
            Self::Disc => [205, 60, 60],
            Self::Square => [60, 180, 75],
            Self::Triangle => [70, 90, 220],
        }
    }

    /// Whether the pixel at `(dx, dy)` from the centre belongs to the shape of this radius.
    fn covers(self, dx: i32, dy: i32, radius: i32) -> bool {
        match self {
            Self::Disc => dx * dx + dy * dy <= radius * radius,
            Self::Square => dx.abs() <= radius && dy.abs() <= radius,
            Self::Triangle => dy.abs() <= radius && 2 * dx.abs() <= dy + radius,
        }
    }
}

/// The pixels that a shape covers, inclusive on all sides.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    pub class: usize,
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Drawn {
    pub fn width(&self) -> i32 {
        self.right - self.left + 1
    }

    pub fn height(&self) -> i32 {
        self.bottom - self.top + 1
    }

    /// The YOLO label line: class, centre and size as shares of the picture.
    pub fn label_line(&self, size: u32) -> String {
        let share = |doubled: i32| f64::from(doubled) / (2.0 * f64::from(size));
        format!(
            "{} {:.6} {:.6} {:.6} {:.6}",
            self.class,
            share(self.left + self.right + 1),
            share(self.top + self.bottom + 1),
            share(2 * self.width()),
            share(2 * self.height())
        )
    }

    fn near(&self, other: &Self) -> bool {
        self.left <= other.right + 2
            && other.left <= self.right + 2
            && self.top <= other.bottom + 2
            && other.top <= self.bottom + 2
    }
}

pub struct Canvas(RgbImage);

impl Canvas {
    #[cfg(test)]
    pub fn plain(size: u32) -> Self {
        Self(RgbImage::new(size, size))
    }

    /// A grey ground with noise.
    pub fn noisy(size: u32, random: &mut Random) -> Self {
        let ground = random.range(80, 180);
        Self(RgbImage::from_fn(size, size, |_, _| {
            let grey = (ground + random.range(-20, 20)) as u8;
            Rgb([grey, grey, grey])
        }))
    }

    /// Draws two to five shapes that don't touch; returns where they are.
    pub fn draw_shapes(&mut self, random: &mut Random) -> Vec<Drawn> {
        let size = self.0.width() as i32;
        let mut all: Vec<Drawn> = Vec::new();
        for _ in 0..random.range(2, 6) {
            let class = random.range(0, Shape::ALL.len() as i32) as usize;
            let radius = random.range(size / 14, size / 6).max(4);
            let [x, y] = [0; 2].map(|_| random.range(radius, size - radius));
            let shape = Shape::ALL[class];
            let colour = shape.colour().map(|c| (c + random.range(-30, 31)).clamp(0, 255) as u8);
            let [left, top] = [x - radius, y - radius];
            let drawn = Drawn { class, left, top, right: x + radius, bottom: y + radius };
            if all.iter().all(|other| !drawn.near(other)) {
                self.fill(shape, [x, y], radius, colour);
                all.push(drawn);
            }
        }
        all
    }

    fn fill(&mut self, shape: Shape, [x, y]: [i32; 2], radius: i32, colour: [u8; 3]) {
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                if shape.covers(dx, dy, radius) {
                    self.0.put_pixel((x + dx) as u32, (y + dy) as u32, Rgb(colour));
                }
            }
        }
    }

    pub fn into_image(self) -> RgbImage {
        self.0
    }
}
