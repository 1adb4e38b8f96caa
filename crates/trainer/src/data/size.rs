//! Width and height of a picture, which are easily exchanged where they are two numbers.

/// In pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn square(side: u32) -> Self {
        Self { width: side, height: side }
    }

    pub fn longer(self) -> u32 {
        self.width.max(self.height)
    }

    /// Pixels.
    pub fn area(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Width, height.
    pub fn sides(self) -> [u32; 2] {
        [self.width, self.height]
    }
}

impl From<(u32, u32)> for Size {
    fn from((width, height): (u32, u32)) -> Self {
        Self { width, height }
    }
}
