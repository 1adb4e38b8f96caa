//! The one form in which an error reaches a person.

use std::error::Error;
use std::fmt;
use std::io;

/// What to do where a disk is full, whatever was being written to it.
pub const DISK_FULL: &str = "the disk is full: make room there and run the same command again; \
                             what was there before is unchanged";

/// Implemented by each module's error type: what to do next, and the exit code.
pub trait Explain: Error {
    /// One sentence that says what would mend it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// 1 for a refusal or a mismatch, 2 for bad usage or the unexpected.
    fn exit(&self) -> u8 {
        2
    }
}

/// A rendered error: what happened, why, and what to do next.
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
    pub exit: u8,
}

impl Failure {
    pub fn new(what: impl Into<String>, exit: u8) -> Self {
        Self { what: what.into(), causes: Vec::new(), hint: None, exit }
    }

    /// An error of the machine that no hint can mend.
    pub fn unexpected(what: impl Into<String>, cause: &dyn Error) -> Self {
        let what = what.into();
        Self { causes: chain(&what, Some(cause)), ..Self::new(what, 2) }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let what = error.to_string();
        let causes = chain(&what, error.source());
        let hint = match is_disk_full(error.source()) {
            true => Some(DISK_FULL.into()),
            false => error.hint(),
        };
        Self { what, causes, hint, exit: error.exit() }
    }
}

/// Whether `error` came from a disk, or a user's share of one, that has no room left.
pub fn is_disk_full(error: Option<&(dyn Error + 'static)>) -> bool {
    let full = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    };
    let mut next = error;
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(full) {
            return true;
        }
        next = error.source();
    }
    false
}

/// `error` and its sources, in one line.
pub fn one_line(error: &dyn Error) -> String {
    let what = error.to_string();
    let causes = chain(&what, error.source());
    [vec![what], causes].concat().join(": ")
}

/// The messages of `error` and its sources, without those that the one before, at first `what`,
/// already contains.
fn chain(what: &str, error: Option<&(dyn Error + '_)>) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut next = error;
    while let Some(error) = next {
        let message = error.to_string();
        if !messages.last().map_or(what, String::as_str).contains(&message) {
            messages.push(message);
        }
        next = error.source();
    }
    messages
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            writeln!(f, "  caused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot build the image")]
    struct Outer(#[source] std::io::Error);

    impl Explain for Outer {
        fn hint(&self) -> Option<String> {
            Some("free some space".into())
        }
    }

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let full = Failure::from(Outer(std::io::ErrorKind::StorageFull.into()));
        assert_eq!(full.hint.as_deref(), Some(DISK_FULL));
        let wrapped = std::io::Error::other(Outer(std::io::ErrorKind::StorageFull.into()));
        assert_eq!(Failure::from(Outer(wrapped)).hint.as_deref(), Some(DISK_FULL));
    }

    #[test]
    fn says_what_why_and_what_next() {
        let failure = Failure::from(Outer(std::io::Error::other("disk full")));
        assert_eq!(
            failure.to_string(),
            "error: cannot build the image\n  caused by: disk full\n\nhint: free some space\n"
        );
    }
}
