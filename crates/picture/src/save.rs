//! Pictures written to files: the same bytes every time.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};
use ybox_spec::files::write_atomic;

use super::Picture;

const JPEG_QUALITY: u8 = 92;

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("cannot encode {}: {source}", path.display())]
    Encode { path: PathBuf, source: ImageError },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// Writes a PNG, or a JPEG where the name ends in `jpg` or `jpeg`, replacing the file at once.
pub fn save(picture: &Picture, path: &Path) -> Result<(), SaveError> {
    let bytes = encode(picture, is_jpeg(path))
        .map_err(|source| SaveError::Encode { path: path.to_owned(), source })?;
    write_atomic(path, &bytes).map_err(|source| SaveError::Write { path: path.to_owned(), source })
}

fn is_jpeg(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg"].iter().any(|e| extension.eq_ignore_ascii_case(e))
}

fn encode(picture: &Picture, jpeg: bool) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    let (pixels, width, height) = (picture.pixels(), picture.width(), picture.height());
    let rgb = ExtendedColorType::Rgb8;
    if jpeg {
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(pixels, width, height, rgb)?;
    } else {
        PngEncoder::new(&mut bytes).write_image(pixels, width, height, rgb)?;
    }
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;
    use crate::{LabelledBox, draw_boxes};

    #[test]
    fn files_have_the_same_bytes_every_time() {
        let mut picture = Picture::filled(64, 48, [40, 90, 160]);
        let label = "WBC".to_owned();
        let corners = [10.0, 20.0, 50.0, 40.0];
        draw_boxes(&mut picture, &[LabelledBox { class: 1, corners, label }]);
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.jpg"] {
            let path = dir.path().join(name);
            save(&picture, &path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            save(&picture, &path).unwrap();
            assert_eq!(bytes, std::fs::read(&path).unwrap());
            let golden = match name {
                "a.png" => "edf4ecbaeed4f928bea53a78aeabc100f888368103ec7cdae1173c36d3c9788b",
                _ => "96c797920a511600da28622352c7b91d9926bf5459919e0659c56ef531c004d7",
            };
            assert_eq!(Digest::of(&bytes).hex(), golden, "{name}");
            let back = crate::decode(&bytes).unwrap();
            assert_eq!((back.width(), back.height()), (64, 48));
        }
    }
}
