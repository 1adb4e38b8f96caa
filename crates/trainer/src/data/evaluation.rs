//! Pictures for validation and prediction, one at a time, each in its smallest frame, prepared by
//! threads ahead of the network and given out in manifest order.

use std::sync::Arc;

use super::letterbox::{Frame, Placement, letterbox, place};
use super::ordered::Ordered;
use super::{DataError, Picture, Split};

/// A picture as the network takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Which sample of the split this is.
    pub index: usize,
    /// `[3, height, width]`: red, green, blue.
    pub pixels: Vec<u8>,
    /// Multiples of the largest stride.
    pub width: u32,
    pub height: u32,
    pub placement: Placement,
    /// The decoded picture in its own size; only of [`prediction`].
    pub original: Option<Picture>,
}

/// The pictures of a scanned split.
pub fn validation(split: &Arc<Split>, workers: usize) -> Result<Ordered<Prepared>, DataError> {
    let split = Arc::clone(split);
    Ordered::start(split.len(), workers, 2 * workers, move |index| {
        let sample = &split.samples[index];
        let original = [sample.width, sample.height];
        let fitted = split.picture(index)?;
        let framed = place(&fitted, original, split.imgsz(), Frame::Rectangle);
        Ok(prepared(index, framed, None))
    })
}

/// The pictures of a scanned or merely listed split, with their originals. A picture that can't be
/// decoded comes out as an error in its place, and the others follow.
pub fn prediction(split: &Arc<Split>, workers: usize) -> Result<Ordered<Prepared>, DataError> {
    let split = Arc::clone(split);
    Ordered::start(split.len(), workers, 2 * workers, move |index| {
        let original = split.original(index)?;
        let framed = letterbox(original.clone(), split.imgsz(), Frame::Rectangle);
        Ok(prepared(index, framed, Some(original)))
    })
}

fn prepared(
    index: usize,
    (framed, placement): (Picture, Placement),
    original: Option<Picture>,
) -> Prepared {
    let (width, height) = (framed.width(), framed.height());
    Prepared { index, pixels: framed.planes(), width, height, placement, original }
}
