//! One picture file: its digest and whether it can be decoded, or its size alone.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use ybox_spec::Digest;

/// How much of a picture is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Its size, which stands at its beginning.
    Size,
    /// All of it: a broken end shows only there, and a digest needs it.
    Whole,
}

/// What a file turned out to be.
pub struct Seen {
    /// Where the whole file was read.
    pub sha256: Option<Digest>,
    /// Width and height as shown, turned as EXIF says; or why there are none.
    pub size: Result<(u32, u32), String>,
}

/// Reads the picture at `path`.
pub fn look(path: &Path, depth: Depth) -> io::Result<Seen> {
    let (sha256, size) = match depth {
        Depth::Size => (None, ybox_picture::size(BufReader::new(File::open(path)?))),
        Depth::Whole => {
            let bytes = fs::read(path)?;
            let picture = ybox_picture::decode(&bytes);
            (Some(Digest::of(&bytes)), picture.map(|p| (p.width(), p.height())))
        }
    };
    Ok(Seen { sha256, size: size.map_err(|error| error.to_string()) })
}
