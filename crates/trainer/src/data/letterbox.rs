//! Fitting a picture into the frame that a network takes, and mapping boxes there and back. The
//! one function behind validation and prediction, so that both see the same pixels.

use ybox_picture::{PADDING, resize_to_fit};

use super::Picture;
use super::size::Size;
use crate::anchors::STRIDES;

/// Sides of a frame are multiples of the network's largest stride.
pub const STRIDE: u32 = STRIDES[2] as u32;

/// Which frame a picture is put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// `imgsz` x `imgsz`.
    Square,
    /// The smallest rectangle inside it whose sides are multiples of [`STRIDE`].
    Rectangle,
}

/// Where a picture lies in its frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Frame pixels per original pixel, horizontally and vertically.
    pub scale: [f32; 2],
    /// Left and upper margin in frame pixels.
    pub pad: [f32; 2],
    /// Width and height of the original.
    pub original: [u32; 2],
}

impl Placement {
    /// A box (left, top, right, bottom) from frame pixels to original pixels, clipped to the
    /// picture.
    pub fn to_original(&self, corners: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| {
            let axis = i % 2;
            let value = (corners[i] - self.pad[axis]) / self.scale[axis];
            value.clamp(0.0, self.original[axis] as f32)
        })
    }

    /// A box (left, top, right, bottom) from original pixels to frame pixels.
    pub fn to_frame(&self, corners: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| corners[i] * self.scale[i % 2] + self.pad[i % 2])
    }
}

/// Scales `picture` to fit `imgsz` and centres it in the frame on grey.
pub fn letterbox(picture: Picture, imgsz: u32, frame: Frame) -> (Picture, Placement) {
    let original = [picture.width(), picture.height()];
    place(&resize_to_fit(picture, imgsz), original, imgsz, frame)
}

/// Centres a picture that [`resize_to_fit`] made of one of size `original`.
pub fn place(
    fitted: &Picture,
    original: [u32; 2],
    imgsz: u32,
    frame: Frame,
) -> (Picture, Placement) {
    let size = [fitted.width(), fitted.height()];
    let Size { width, height } = match frame {
        Frame::Square => Size::square(imgsz),
        Frame::Rectangle => {
            smallest_frame(std::iter::once(Size { width: size[0], height: size[1] }))
        }
    };
    let (left, top) = ((width - size[0]) / 2, (height - size[1]) / 2);
    let mut framed = Picture::filled(width, height, [PADDING; 3]);
    for y in 0..size[1] {
        framed.row_mut(top + y)[left as usize * 3..][..fitted.stride()]
            .copy_from_slice(fitted.row(y));
    }
    let scale = std::array::from_fn(|i| size[i] as f32 / original[i] as f32);
    (framed, Placement { scale, pad: [left as f32, top as f32], original })
}

/// The smallest frame that holds each of `pictures`, which may be one.
pub fn smallest_frame(pictures: impl Iterator<Item = Size>) -> Size {
    let (width, height) =
        pictures.fold((0, 0), |(w, h), size| (size.width.max(w), size.height.max(h)));
    Size { width: width.next_multiple_of(STRIDE), height: height.next_multiple_of(STRIDE) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ybox_picture::fit;

    use super::*;

    #[test]
    fn frames_are_square_or_the_smallest_rectangle() {
        for (w, h, rectangle) in [
            (640, 480, (320, 256)),
            (480, 640, (256, 320)),
            (10, 10, (320, 320)),
            (900, 9, (320, 32)),
        ] {
            let picture = Picture::filled(w, h, [1, 2, 3]);
            let (framed, _) = letterbox(picture.clone(), 320, Frame::Rectangle);
            assert_eq!((framed.width(), framed.height()), rectangle);
            let (framed, _) = letterbox(picture, 320, Frame::Square);
            assert_eq!((framed.width(), framed.height()), (320, 320));
        }
    }

    #[test]
    fn the_picture_lies_where_the_placement_says_and_grey_around_it() {
        let (framed, placement) =
            letterbox(Picture::filled(200, 100, [9, 8, 7]), 64, Frame::Square);
        assert_eq!(placement.to_frame([0.0, 0.0, 200.0, 100.0]), [0.0, 16.0, 64.0, 48.0]);
        for y in 0..64 {
            let expected = if (16..48).contains(&y) { [9, 8, 7] } else { [PADDING; 3] };
            assert!((0..64).all(|x| framed.pixel(x, y) == expected), "row {y}");
        }
    }

    proptest! {
        #[test]
        fn boxes_come_back(
            w in 1u32..3000,
            h in 1u32..3000,
            rect: bool,
            shares in proptest::array::uniform4(0f32..1.0),
        ) {
            let frame = if rect { Frame::Rectangle } else { Frame::Square };
            let (fitted_w, fitted_h) = fit(w, h, 320);
            let fitted = Picture::filled(fitted_w, fitted_h, [0; 3]);
            let (_, placement) = place(&fitted, [w, h], 320, frame);
            let corners = std::array::from_fn(|i| shares[i] * [w, h][i % 2] as f32);
            let back = placement.to_original(placement.to_frame(corners));
            for (a, b) in corners.into_iter().zip(back) {
                prop_assert!((a - b).abs() < 0.02, "{corners:?} {back:?}");
            }
        }
    }
}
