//! What packages and wheels have in common: they come from outside, so every member's name, kind
//! and size is looked at before it is used.

use std::io::{self, Read};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::layer::TreeError;

/// Most that one package or wheel may unpack to: several times the largest known.
pub const LARGEST_CONTENT: u64 = 4 << 30;

/// Why a package or wheel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("it cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its member `{member}` {why}")]
    Member { member: String, why: &'static str },
    #[error("it has no {0}")]
    Missing(String),
    #[error("it says that it is {found}, the lock says {expected}")]
    Other { expected: String, found: String },
    #[error("`{glob}` is not a glob")]
    Glob { glob: String, source: globset::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.into())
    }
}

/// Globs in which `*` stays within a folder and `**` does not.
pub fn globs<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet, InputError> {
    let mut set = GlobSetBuilder::new();
    let failed = |glob: &str| {
        let glob = glob.to_owned();
        move |source| InputError::Glob { glob, source }
    };
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(failed(pattern))?);
    }
    set.build().map_err(failed("the globs together"))
}

/// Fails once more than `left` bytes have been read: what a compressed stream grows to is not
/// known before.
pub struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than is plausible")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stays_in_a_folder_and_two_do_not() {
        let set = globs(["usr/share/doc/**/changelog*", "a/*.so", "gconv/**"]).unwrap();
        for (path, fits) in [
            ("usr/share/doc/libc6/changelog.gz", true),
            ("usr/share/doc/changelog.gz", true),
            ("usr/share/doc/libc6/copyright", false),
            ("a/x.so", true),
            ("a/b/x.so", false),
            ("gconv/", true),
            ("gconv/x", true),
            ("gconv", false),
        ] {
            assert_eq!(set.is_match(path), fits, "{path}");
        }
    }

    #[test]
    fn a_stream_that_grows_too_long_fails() {
        assert!(io::copy(&mut Bounded::new(&[0; 10][..], 10), &mut io::sink()).is_ok());
        assert!(io::copy(&mut Bounded::new(&[0; 11][..], 10), &mut io::sink()).is_err());
    }
}
