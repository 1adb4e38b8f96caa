//! Encoded bytes (JPEG, PNG, BMP, WebP, told apart by content) to an upright RGB picture. Reading
//! and checking the bytes is left to the caller.
//!
//! Grey is spread over three channels; an alpha channel is dropped without blending, as the
//! training code that published weights come from does; 16-bit samples are scaled to 8 bits.

use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use super::Picture;

/// Largest side in pixels, and largest decoded size in bytes: far above any camera, far below what
/// a small file that unpacks to terabytes asks for.
const MAX_SIDE: u32 = 32_768;
const MAX_BYTES: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{0}")]
    Image(#[from] ImageError),
    #[error("it has no pixels")]
    Empty,
    #[error("its decoder failed")]
    Panicked,
}

/// Decodes a picture and turns it as its EXIF orientation says.
pub fn decode(bytes: &[u8]) -> Result<Picture, DecodeError> {
    // Decoders are foreign code fed with arbitrary bytes: a panic must cost one picture, not a run.
    catch_unwind(AssertUnwindSafe(|| decode_upright(bytes))).map_err(|_| DecodeError::Panicked)?
}

/// Width and height of the upright picture, from what stands before its pixels.
pub fn size(source: impl BufRead + Seek) -> Result<(u32, u32), DecodeError> {
    catch_unwind(AssertUnwindSafe(|| upright_size(source))).map_err(|_| DecodeError::Panicked)?
}

fn upright_size(source: impl BufRead + Seek) -> Result<(u32, u32), DecodeError> {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let mut decoder = decoder(source)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::Empty);
    }
    Ok(match decoder.orientation()? {
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (height, width),
        _ => (width, height),
    })
}

fn decode_upright(bytes: &[u8]) -> Result<Picture, DecodeError> {
    let mut decoder = decoder(Cursor::new(bytes))?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    let (width, height) = rgb.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::Empty);
    }
    Ok(Picture::new(width, height, rgb.into_raw()))
}

fn decoder<'a>(source: impl BufRead + Seek + 'a) -> Result<impl ImageDecoder + 'a, DecodeError> {
    let mut reader = ImageReader::new(source).with_guessed_format().map_err(ImageError::from)?;
    reader.limits(limits());
    let decoder = reader.into_decoder()?;
    limits().reserve(decoder.total_bytes())?;
    Ok(decoder)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, ImageEncoder, ImageFormat, RgbImage, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn two_pixels() -> RgbImage {
        RgbImage::from_raw(2, 1, vec![250, 10, 20, 30, 40, 240]).unwrap()
    }

    #[test]
    fn lossless_formats_give_the_pixels_back() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            let picture = decode(&encoded(two_pixels(), format)).unwrap();
            assert_eq!((picture.width(), picture.height()), (2, 1));
            assert_eq!(picture.pixels(), two_pixels().as_raw(), "{format:?}");
        }
    }

    #[test]
    fn grey_is_spread_and_alpha_dropped() {
        let grey = GrayImage::from_raw(1, 1, vec![77]).unwrap();
        assert_eq!(decode(&encoded(grey, ImageFormat::Png)).unwrap().pixels(), [77; 3]);
        let clear = RgbaImage::from_raw(1, 1, vec![1, 2, 3, 0]).unwrap();
        assert_eq!(decode(&encoded(clear, ImageFormat::Png)).unwrap().pixels(), [1, 2, 3]);
    }

    #[test]
    fn a_picture_is_turned_as_its_exif_says() {
        // A TIFF header with one entry: orientation (0x0112), 6: the camera was turned, so the
        // picture is shown a quarter clockwise.
        let mut exif = b"II*\0\x08\0\0\0\x01\0".to_vec();
        exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        let wide = RgbImage::from_fn(32, 16, |x, _| {
            image::Rgb(if x < 16 { [255, 0, 0] } else { [0, 0, 255] })
        });
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.encode_image(&wide).unwrap();
        let picture = decode(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 32));
        assert_eq!(size(Cursor::new(&bytes)).unwrap(), (16, 32));
        assert!(picture.pixel(8, 4)[0] > 200 && picture.pixel(8, 28)[2] > 200);
    }

    #[test]
    fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
        let mut png = encoded(two_pixels(), ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = decode(&png).unwrap_err().to_string();
        assert!(error.contains("limit") || error.contains("Memory"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c, _| {
                if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 }
            })
        })
    }

    #[test]
    fn a_truncated_picture_is_an_error() {
        let whole = encoded(RgbImage::new(64, 64), ImageFormat::Png);
        assert!(decode(&whole[..whole.len() / 2]).is_err());
        assert!(decode(b"").is_err());
        assert!(decode(b"GIF89a...").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_on_damaged_files(at in 0usize..400, byte: u8, which in 0usize..4) {
            use ImageFormat::{Bmp, Jpeg, Png, WebP};
            let format = [Png, Bmp, WebP, Jpeg][which];
            let mut bytes = encoded(two_pixels(), format);
            let at = at % bytes.len();
            bytes[at] = byte;
            let decoded = decode(&bytes);
            let size = size(Cursor::new(&bytes));
            if let Ok(picture) = decoded {
                prop_assert_eq!(size.unwrap(), (picture.width(), picture.height()));
            }
        }
    }
}
