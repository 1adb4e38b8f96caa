//! One picture file: its digest and whether it can be decoded.

use std::fs;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use ybox_spec::Digest;

/// Largest side in pixels and largest decoded size in bytes, as in the trainer.
const MAX_SIDE: u32 = 32_768;
const MAX_BYTES: u64 = 1 << 30;

/// What a file turned out to be.
pub struct Seen {
    pub sha256: Digest,
    /// Width and height as shown, turned as EXIF says; or why there are none.
    pub size: Result<(u32, u32), String>,
}

/// Reads and decodes the whole picture: a broken end shows only there.
pub fn look(path: &Path) -> io::Result<Seen> {
    let bytes = fs::read(path)?;
    // Decoders are foreign code fed with arbitrary bytes: a panic must cost one picture.
    let size = catch_unwind(AssertUnwindSafe(|| upright_size(&bytes)))
        .map_err(|_| "its decoder failed".to_owned())
        .and_then(|size| size.map_err(|error| error.to_string()));
    Ok(Seen { sha256: Digest::of(&bytes), size })
}

fn upright_size(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder()?;
    limits().reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok((image.width(), image.height()))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}
