//! The store's blobs: written aside, fsynced and renamed; never read without checking that the
//! content still is what its name says.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use ybox_spec::Digest;
use ybox_spec::digest::Hasher;

use super::ImageError;
use super::error::DamagedBlob;

/// Manifests and configs are a few kB: more is not read into memory.
pub const LARGEST_DOCUMENT: u64 = 4 << 20;

/// The `blobs/sha256` folder of an OCI layout, and a folder for temporary files beside it.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
    scratch: PathBuf,
}

impl Blobs {
    pub fn open(layout: &Path) -> io::Result<Self> {
        let blobs = Self::at(layout);
        fs::create_dir_all(&blobs.folder)?;
        fs::create_dir_all(&blobs.scratch)?;
        Ok(blobs)
    }

    /// The same, of a layout that has its folders, or is only read.
    pub fn at(layout: &Path) -> Self {
        Self { folder: layout.join("blobs/sha256"), scratch: layout.join("tmp") }
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// Where temporary files go: on the same file system as the blobs.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// A reader that fails at its end if the content is not what `digest` says.
    pub fn reader(&self, digest: &Digest) -> Result<Checked<File>, ImageError> {
        let file = File::open(self.path(digest)).map_err(unopened(digest))?;
        Ok(Checked::new(file, *digest))
    }

    /// Bytes of a blob that can be opened.
    pub fn size(&self, digest: &Digest) -> Result<u64, ImageError> {
        let meta = File::open(self.path(digest)).and_then(|file| file.metadata());
        meta.map(|meta| meta.len()).map_err(unopened(digest))
    }

    /// A small blob whole, its content checked.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut reader = self.reader(digest)?.take(LARGEST_DOCUMENT + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(ImageError::io(format!("read the blob {digest}")))?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            let why = format!("it is larger than {LARGEST_DOCUMENT} bytes");
            return Err(ImageError::malformed(format!("the document {digest}"), why));
        }
        Ok(bytes)
    }

    /// Stores `bytes`; a blob of that name with other content is replaced.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(bytes);
        if fs::read(self.path(&digest)).is_ok_and(|there| there == bytes) {
            return Ok(digest);
        }
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        self.adopt(file, &digest)?;
        Ok(digest)
    }

    pub fn temporary(&self) -> io::Result<NamedTempFile> {
        use std::os::unix::fs::PermissionsExt;
        tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.scratch)
    }

    /// Makes a temporary file the blob `digest`.
    pub fn adopt(&self, file: NamedTempFile, digest: &Digest) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(self.path(digest))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes temporary files that interrupted builds left behind long ago.
    pub fn sweep(&self) -> io::Result<()> {
        const OLD: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
        for entry in fs::read_dir(&self.scratch)? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > OLD {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

fn unopened(digest: &Digest) -> impl FnOnce(io::Error) -> ImageError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => ImageError::MissingBlob(*digest),
        _ => ImageError::io(format!("open the blob {digest}"))(error),
    }
}

/// Passes bytes through and fails at the end with [`DamagedBlob`] if they don't hash to what they
/// should. A reader that stops earlier has checked nothing.
pub struct Checked<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
}

impl<R: Read> Checked<R> {
    pub fn new(inner: R, expected: Digest) -> Self {
        Self { inner, hasher: Some(Hasher::new()), expected }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        match self.hasher.take().map(Hasher::finish) {
            Some(found) if found != self.expected => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                DamagedBlob { expected: self.expected, found },
            )),
            _ => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_is_noticed_and_mended_by_storing_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let digest = blobs.put(b"content").unwrap();
        assert_eq!(blobs.read(&digest).unwrap(), b"content");
        fs::write(blobs.path(&digest), b"c0ntent").unwrap();
        assert!(matches!(blobs.read(&digest), Err(ImageError::Damaged(d, _)) if d == digest));
        blobs.put(b"content").unwrap();
        assert_eq!(blobs.read(&digest).unwrap(), b"content");
        assert!(matches!(blobs.read(&Digest::of(b"x")), Err(ImageError::MissingBlob(_))));
    }
}
