//! A picture in memory: 8-bit RGB, rows from top to bottom. Where it came from and what it becomes
//! is decided elsewhere. Its accessors are inlined: other crates call them for every pixel.

/// Grey of every pixel that no picture covers.
pub const PADDING: u8 = 114;

/// RGB triples, `width * 3` bytes per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// # Panics
    /// When `pixels` is not `width * height * 3` bytes, or there are none.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width as usize * height as usize * 3, "{width} x {height} RGB");
        assert!(!pixels.is_empty(), "a picture has at least one pixel");
        Self { width, height, pixels }
    }

    pub fn filled(width: u32, height: u32, rgb: [u8; 3]) -> Self {
        Self::new(width, height, rgb.repeat(width as usize * height as usize))
    }

    /// From three planes `[3, height, width]`.
    pub fn from_planes(width: u32, height: u32, planes: &[u8]) -> Self {
        let (red, rest) = planes.split_at(planes.len() / 3);
        let (green, blue) = rest.split_at(red.len());
        let pixels = red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect();
        Self::new(width, height, pixels)
    }

    /// Three planes `[3, height, width]`: red, green, blue.
    pub fn planes(&self) -> Vec<u8> {
        let mut planes = vec![0; self.pixels.len()];
        for (channel, plane) in planes.chunks_exact_mut(self.pixels.len() / 3).enumerate() {
            for (to, from) in plane.iter_mut().zip(self.pixels.chunks_exact(3)) {
                *to = from[channel];
            }
        }
        planes
    }

    #[inline]
    pub fn width(&self) -> u32 {
        self.width
    }

    #[inline]
    pub fn height(&self) -> u32 {
        self.height
    }

    #[inline]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The part from left and top to right and bottom, which are not part of it.
    ///
    /// # Panics
    /// When that is not inside the picture, or empty.
    pub fn crop(&self, [left, top, right, bottom]: [u32; 4]) -> Self {
        let columns = left as usize * 3..right as usize * 3;
        let pixels = (top..bottom).flat_map(|y| &self.row(y)[columns.clone()]).copied().collect();
        Self::new(right - left, bottom - top, pixels)
    }

    /// Bytes per row.
    #[inline]
    pub fn stride(&self) -> usize {
        self.width as usize * 3
    }

    #[inline]
    pub fn row(&self, y: u32) -> &[u8] {
        &self.pixels[y as usize * self.stride()..][..self.stride()]
    }

    #[inline]
    pub fn row_mut(&mut self, y: u32) -> &mut [u8] {
        let stride = self.stride();
        &mut self.pixels[y as usize * stride..][..stride]
    }

    #[inline]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = x as usize * 3;
        let row = self.row(y);
        [row[at], row[at + 1], row[at + 2]]
    }

    #[inline]
    pub fn set_pixel(&mut self, x: u32, y: u32, rgb: [u8; 3]) {
        self.row_mut(y)[x as usize * 3..][..3].copy_from_slice(&rgb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_hold_one_channel_each_and_come_back() {
        let picture = Picture::new(2, 1, vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(picture.planes(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(Picture::from_planes(2, 1, &picture.planes()), picture);
    }
}
