//! What detections are held against.

/// An object that is really there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Corners x1, y1, x2, y2 in pixels of the original picture.
    pub bbox: [f32; 4],
    pub class: u32,
}
