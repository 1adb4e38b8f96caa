//! Where the bytes of a file in a layer come from, without holding them in memory: a region of a
//! scratch file, a few bytes, or a stream that can be opened anew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

type Open = dyn Fn() -> io::Result<Box<dyn Read>> + Send + Sync;

/// The content of one file. Its size is known before it is read.
#[derive(Clone)]
pub enum Content {
    Bytes(Arc<[u8]>),
    Region(Region),
    Stream { size: u64, open: Arc<Open> },
}

impl Content {
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into().into())
    }

    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Region(region) => region.size,
            Self::Stream { size, .. } => *size,
        }
    }

    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::Region(region) => Box::new(region.clone()),
            Self::Stream { open, .. } => open()?,
        })
    }

    /// Copies the content to `out`; an error if it is not as long as it should be.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut reader = self.open()?;
        let copied = io::copy(&mut (&mut reader).take(self.size()), out)?;
        if copied != self.size() || reader.read(&mut [0])? != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the content is not {} bytes long", self.size()),
            ));
        }
        Ok(())
    }
}

/// Part of a file, read by position: clones don't disturb each other.
#[derive(Clone, Debug)]
pub struct Region {
    file: Arc<File>,
    start: u64,
    size: u64,
    at: u64,
}

impl Read for Region {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.at.min(self.size)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.start + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Region {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A scratch file that has no name, so that nothing is left behind whatever happens.
pub struct Spool {
    file: Arc<File>,
    length: u64,
}

impl Spool {
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(tempfile::tempfile_in(folder)?), length: 0 })
    }

    /// Takes in all that `reader` yields, at most `limit` bytes.
    pub fn add(&mut self, reader: impl Read, limit: u64) -> io::Result<Content> {
        let start = self.length;
        let mut file: &File = &self.file;
        file.seek(SeekFrom::Start(start))?;
        let size = io::copy(&mut reader.take(limit.saturating_add(1)), &mut file)?;
        self.length += size;
        if size > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("the content is longer than {limit} bytes"),
            ));
        }
        Ok(Content::Region(Region { file: self.file.clone(), start, size, at: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_a_spool_are_read_apart() {
        let mut spool = Spool::new(&std::env::temp_dir()).unwrap();
        let a = spool.add(&b"first"[..], 10).unwrap();
        let b = spool.add(&b"second"[..], 10).unwrap();
        let mut out = Vec::new();
        b.copy_to(&mut out).unwrap();
        a.copy_to(&mut out).unwrap();
        assert_eq!(out, b"secondfirst");
    }

    #[test]
    fn a_longer_or_shorter_stream_than_promised_is_an_error() {
        for promised in [2, 4] {
            let open: Arc<Open> = Arc::new(|| Ok(Box::new(&b"abc"[..])));
            let content = Content::Stream { size: promised, open };
            assert!(content.copy_to(&mut Vec::new()).is_err(), "{promised}");
        }
        assert!(Spool::new(&std::env::temp_dir()).unwrap().add(&b"abc"[..], 2).is_err());
    }
}
