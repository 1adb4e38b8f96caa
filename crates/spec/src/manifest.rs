//! The list of every file that a run reads, with sizes and digests, and its Merkle root. Hashing
//! the files is left to the caller, which may do it in parallel or from a cache.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// Domains of a leaf (one line of the manifest) and of an inner node (two hex digests).
pub const LEAF_DOMAIN: &str = "ybox.data.leaf.v1";
pub const NODE_DOMAIN: &str = "ybox.data.node.v1";

/// One file. Displays as a manifest line: hex digest, size, split and path, one space apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `train`, `val`, `test` or `source`.
    pub split: String,
    /// Relative to the data set's root, `/` between folders.
    pub path: String,
    pub size: u64,
    pub sha256: Digest,
}

/// Files sorted by split, then path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("line {line} is not `digest size split path`")]
    Line { line: usize },
    #[error("line {line} is out of order or a repetition")]
    Order { line: usize },
    #[error("a path with a line break can't stand in a manifest: {path:?}")]
    Path { path: String },
}

impl Manifest {
    /// Sorts `entries`; the same file of the same split stays once.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        if let Some(bad) = entries.iter().find(|e| e.path.contains(['\n', '\r'])) {
            return Err(ManifestError::Path { path: bad.path.clone() });
        }
        entries.sort_by(|a, b| a.key().cmp(&b.key()));
        entries.dedup_by(|a, b| a.key() == b.key());
        Ok(Self { entries })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries of one split, in order.
    pub fn split<'a>(&'a self, split: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.split == split)
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|e| e.size).sum()
    }

    /// Root of the binary tree over the lines: a leaf is the digest of a line, a node that of its
    /// children's hex digits; a node without a sibling moves up as it is.
    pub fn root(&self) -> Digest {
        let mut level: Vec<Digest> = self
            .entries
            .iter()
            .map(|e| Digest::in_domain(LEAF_DOMAIN, e.to_string().as_bytes()))
            .collect();
        while level.len() > 1 {
            level = level.chunks(2).map(parent).collect();
        }
        level.pop().unwrap_or_else(|| Digest::in_domain(LEAF_DOMAIN, b""))
    }
}

fn parent(children: &[Digest]) -> Digest {
    match children {
        [left, right] => {
            let (left, right) = (left.hex_bytes(), right.hex_bytes());
            Digest::of_parts(&[NODE_DOMAIN.as_bytes(), b"\n", &left, b" ", &right])
        }
        [only] => *only,
        _ => unreachable!("chunks of two hold one or two"),
    }
}

impl Entry {
    fn key(&self) -> (&str, &str) {
        (&self.split, &self.path)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.sha256.hex(), self.size, self.split, self.path)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl FromStr for Manifest {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (i, line) in text.split_terminator('\n').enumerate() {
            let line_error = ManifestError::Line { line: i + 1 };
            let entry = parse_line(line).ok_or(line_error)?;
            if entries.last().is_some_and(|last| last.key() >= entry.key()) {
                return Err(ManifestError::Order { line: i + 1 });
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut parts = line.splitn(4, ' ');
    let sha256 = Digest::from_hex(parts.next()?).ok()?;
    let size = parts.next()?.parse().ok()?;
    let split = parts.next().filter(|s| !s.is_empty())?.to_owned();
    let path = parts.next().filter(|p| !p.is_empty() && !p.contains('\r'))?.to_owned();
    Some(Entry { split, path, size, sha256 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(split: &str, path: &str) -> Entry {
        Entry {
            split: split.into(),
            path: path.into(),
            size: 3,
            sha256: Digest::of(path.as_bytes()),
        }
    }

    #[test]
    fn the_root_is_a_merkle_root_of_the_lines() {
        let entries: Vec<_> = ["a", "b", "c"].map(|p| entry("train", p)).into();
        let leaf = |i: usize| Digest::in_domain(LEAF_DOMAIN, entries[i].to_string().as_bytes());
        let node = |l: Digest, r: Digest| {
            Digest::in_domain(NODE_DOMAIN, format!("{} {}", l.hex(), r.hex()).as_bytes())
        };
        let manifest = Manifest::new(entries.iter().rev().cloned().collect()).unwrap();
        assert_eq!(manifest.root(), node(node(leaf(0), leaf(1)), leaf(2)));
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        let good =
            Manifest::new(vec![entry("train", "b"), entry("train", "a")]).unwrap().to_string();
        assert!(good.parse::<Manifest>().is_ok());
        let reversed = good.lines().rev().map(|l| format!("{l}\n")).collect::<String>();
        assert_eq!(reversed.parse::<Manifest>(), Err(ManifestError::Order { line: 2 }));
        assert_eq!("x 1 train a\n".parse::<Manifest>(), Err(ManifestError::Line { line: 1 }));
        assert!(Manifest::new(vec![entry("train", "a\nb")]).is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(paths in proptest::collection::vec("[a-z /.é]{1,12}", 0..8)) {
            let manifest = Manifest::new(paths.iter().map(|p| entry("val", p)).collect()).unwrap();
            prop_assert_eq!(manifest.to_string().parse::<Manifest>().unwrap(), manifest);
        }

        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = text.parse::<Manifest>();
        }
    }
}
