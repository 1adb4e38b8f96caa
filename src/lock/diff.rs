//! What changed between two locks, a line per input.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{Lock, LockedDeb, LockedWheel};

/// An input that was added, removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub kind: Kind,
    pub name: String,
    /// Version before; none if it is new.
    pub from: Option<String>,
    /// Version after; none if it is gone.
    pub to: Option<String>,
    /// What differs where the version is the same, e.g. `file`.
    pub differs: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Deb,
    Wheel,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.from, &self.to) {
            (None, Some(to)) => write!(f, "{name} added {to}"),
            (Some(from), None) => write!(f, "{name} removed {from}"),
            (Some(from), Some(to)) if from == to => {
                write!(f, "{name} {from}: other {}", self.differs.join(", "))
            }
            (Some(from), Some(to)) => write!(f, "{name} {from} -> {to}"),
            (None, None) => Ok(()),
        }
    }
}

/// Changes from `older` to `newer`: Debian packages, then wheels, each by name.
pub fn changes(older: Option<&Lock>, newer: &Lock) -> Vec<Change> {
    let (debs, wheels) = match older {
        Some(lock) => (&lock.debs[..], &lock.wheels[..]),
        None => (&[][..], &[][..]),
    };
    let mut changes = compare(debs, &newer.debs);
    changes.extend(compare(wheels, &newer.wheels));
    changes
}

trait Pin: PartialEq {
    const KIND: Kind;
    fn name(&self) -> &str;
    fn version(&self) -> &str;
    /// Names of the fields, besides name and version, in which two pins differ.
    fn differs(&self, other: &Self) -> Vec<&'static str>;
}

fn compare<P: Pin>(older: &[P], newer: &[P]) -> Vec<Change> {
    let find = |pins: &'_ [P], name: &str| pins.iter().position(|pin| pin.name() == name);
    let names: BTreeSet<&str> = older.iter().chain(newer).map(Pin::name).collect();
    names
        .into_iter()
        .map(|name| {
            (name, find(older, name).map(|i| &older[i]), find(newer, name).map(|i| &newer[i]))
        })
        .filter(|(_, from, to)| from != to)
        .map(|(name, from, to)| Change {
            kind: P::KIND,
            name: name.into(),
            from: from.map(|pin| pin.version().into()),
            to: to.map(|pin| pin.version().into()),
            differs: from.zip(to).map(|(from, to)| from.differs(to)).unwrap_or_default(),
        })
        .collect()
}

fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

impl Pin for LockedDeb {
    const KIND: Kind = Kind::Deb;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn differs(&self, other: &Self) -> Vec<&'static str> {
        differing([
            ("architecture", self.architecture == other.architecture),
            ("archive", self.archive == other.archive),
            ("suite", self.suite == other.suite),
            ("path", self.path == other.path),
            ("size", self.size == other.size),
            ("content", self.sha256 == other.sha256),
        ])
    }
}

impl Pin for LockedWheel {
    const KIND: Kind = Kind::Wheel;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn differs(&self, other: &Self) -> Vec<&'static str> {
        differing([
            ("file", self.file == other.file),
            ("size", self.size == other.size),
            ("content", self.sha256 == other.sha256),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn one_line_per_input() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/cpu.lock");
        let older = Lock::read(&path).unwrap().unwrap();
        let mut newer = older.clone();
        newer.debs.retain(|deb| deb.name != "gcc-14-base");
        newer.debs[0].version = "2.41-13".into();
        newer.wheels[0].name = "nvidia-other".into();
        newer.wheels[2].file = "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl".into();
        let lines: Vec<String> =
            changes(Some(&older), &newer).iter().map(Change::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(changes(Some(&newer), &newer), []);
        assert_eq!(changes(None, &newer).len(), 6);
    }
}
