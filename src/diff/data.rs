//! Two data manifests, item by item.

use std::cmp::Ordering;

use ybox_spec::manifest::{Entry, Manifest};

use super::section::{Difference, Held, Section, Subject, counted};

/// A file that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    /// `train`, `val`, `test` or `source`.
    pub split: String,
    /// Relative to the data set's root.
    pub path: String,
    /// `None` where a side has no such file.
    pub a: Option<Entry>,
    pub b: Option<Entry>,
}

/// The items that differ, by split, then path.
pub fn changes(a: &Manifest, b: &Manifest) -> Vec<ItemChange> {
    let key = |entry: &Entry| (entry.split.clone(), entry.path.clone());
    let (mut a, mut b) = (a.entries().iter().peekable(), b.entries().iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => (&x.split, &x.path).cmp(&(&y.split, &y.path)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let a = a.next_if(|_| order.is_le());
        let b = b.next_if(|_| order.is_ge());
        if a == b {
            continue;
        }
        if let Some((split, path)) = a.or(b).map(key) {
            changes.push(ItemChange { split, path, a: a.cloned(), b: b.cloned() });
        }
    }
}

impl From<&ItemChange> for Difference {
    fn from(change: &ItemChange) -> Self {
        let held = |entry: &Option<Entry>| {
            let entry = entry.as_ref()?;
            Some(Held::File { size: entry.size, sha256: entry.sha256, mode: None })
        };
        let item = format!("{} {}", change.split, change.path);
        Self::new(item, held(&change.a), held(&change.b))
    }
}

/// `files` is how many there are in A and in B.
pub fn section(changes: &[ItemChange], files: [usize; 2]) -> Section {
    let [a, b] = files;
    if changes.is_empty() {
        return Section::same(Subject::Data, counted(a, "file"));
    }
    let of = match a == b {
        true => format!("{} of {}", changes.len(), counted(a, "file")),
        false => format!("{}; A has {a}, B {b}", counted(changes.len(), "file")),
    };
    Section::differs(Subject::Data, of, changes.iter().map(Difference::from).collect())
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;

    fn manifest(files: &[(&str, &str, &str)]) -> Manifest {
        let entry = |&(split, path, content): &(&str, &str, &str)| Entry {
            split: split.into(),
            path: path.into(),
            size: content.len() as u64,
            sha256: Digest::of(content.as_bytes()),
        };
        Manifest::new(files.iter().map(entry).collect()).unwrap()
    }

    #[test]
    fn items_are_added_removed_changed_and_moved_between_splits() {
        let a = manifest(&[("train", "a", "1"), ("train", "b", "2"), ("val", "c", "3")]);
        let b = manifest(&[("train", "b", "22"), ("train", "c", "3"), ("val", "c", "3")]);
        let found = changes(&a, &b);
        let told: Vec<_> = found
            .iter()
            .map(|c| (c.split.as_str(), c.path.as_str(), c.a.is_some(), c.b.is_some()))
            .collect();
        assert_eq!(
            told,
            [("train", "a", true, false), ("train", "b", true, true), ("train", "c", false, true)]
        );
        assert_eq!(section(&found, [3, 3]).summary, "3 of 3 files");
        assert_eq!(changes(&a, &a), []);
        assert_eq!(section(&[], [3, 3]).summary, "3 files");
        assert_eq!(changes(&a, &Manifest::default()).len(), 3);
    }
}
