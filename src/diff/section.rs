//! What a comparison says: sections by subject, each with its differences. How they look is decided
//! where they are shown.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use ybox_spec::Digest;

/// What is compared, in causal order: an earlier one can be the reason for a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Recipe,
    Lock,
    Image,
    Data,
    /// The initial weights.
    Weights,
    Config,
    /// Attention path, numerics and threads.
    Compute,
    Host,
    Steps,
    /// The result files.
    Results,
    Metrics,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Lock => "lock",
            Self::Image => "image",
            Self::Data => "data",
            Self::Weights => "weights",
            Self::Config => "config",
            Self::Compute => "compute",
            Self::Host => "host",
            Self::Steps => "steps",
            Self::Results => "results",
            Self::Metrics => "metrics",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Same,
    Differs,
    NotCompared,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::NotCompared => "not compared",
        }
    }
}

/// One subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    pub subject: Subject,
    pub outcome: Outcome,
    /// What is the same, how much differs, or why it was not compared; may be empty.
    pub summary: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

impl Section {
    pub fn same(subject: Subject, summary: impl Into<String>) -> Self {
        let (outcome, summary) = (Outcome::Same, summary.into());
        Self { subject, outcome, summary, differences: Vec::new() }
    }

    pub fn differs(
        subject: Subject,
        summary: impl Into<String>,
        differences: Vec<Difference>,
    ) -> Self {
        Self { subject, outcome: Outcome::Differs, summary: summary.into(), differences }
    }

    /// Of two things that are known by their digests alone, or one of which is.
    pub fn by_digest(subject: Subject, a: Digest, b: Digest) -> Self {
        let difference = Difference::new("digest", Some(Held::Digest(a)), Some(Held::Digest(b)));
        Self::differs(subject, "what is in both is not at hand", vec![difference])
    }

    pub fn not_compared(subject: Subject, why: impl Into<String>) -> Self {
        let (outcome, summary) = (Outcome::NotCompared, why.into());
        Self { subject, outcome, summary, differences: Vec::new() }
    }
}

/// One item that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub item: String,
    /// What each side holds there; `None` where a side has no such item.
    pub a: Option<Held>,
    pub b: Option<Held>,
}

impl Difference {
    pub fn new(item: impl Into<String>, a: Option<Held>, b: Option<Held>) -> Self {
        Self { item: item.into(), a, b }
    }

    /// Of two plain values.
    pub fn values(item: impl Into<String>, a: Option<Value>, b: Option<Value>) -> Self {
        Self::new(item, a.map(Held::Value), b.map(Held::Value))
    }
}

/// What one side holds at an item. Displays as people read it, digests shortened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Held {
    File {
        size: u64,
        sha256: Digest,
        /// Permissions in octal, of a file in an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    Digest(Digest),
    Float(Bits),
    Value(Value),
}

/// Bits of a 32-bit float. In JSON `value`, null where it is not finite, and `bits`, eight hex
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits(pub u32);

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("value", &f32::from_bits(self.0))?;
        map.serialize_entry("bits", &format!("{:08x}", self.0))?;
        map.end()
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:08x})", f32::from_bits(self.0), self.0)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { size, sha256, mode } => {
                write!(f, "{size} B, {}", short(sha256))?;
                mode.as_ref().map_or(Ok(()), |mode| write!(f, ", mode {mode}"))
            }
            Self::Digest(digest) => f.write_str(&short(digest)),
            Self::Float(bits) => bits.fmt(f),
            Self::Value(Value::String(text)) => f.write_str(text),
            Self::Value(Value::Null) => f.write_str("none"),
            Self::Value(value) => value.fmt(f),
        }
    }
}

/// Enough of a digest to tell two apart.
pub fn short(digest: &Digest) -> String {
    digest.hex()[..12].to_owned()
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_told_by_value_and_bits_also_where_json_has_no_value() {
        let bits = |value: f32| Bits(value.to_bits());
        assert_eq!(bits(0.1).to_string(), "0.1 (3dcccccd)");
        assert_eq!(bits(f32::NAN).to_string(), "NaN (7fc00000)");
        let json = |bits| serde_json::to_string(&Held::Float(bits)).unwrap();
        assert_eq!(json(bits(0.1)), r#"{"value":0.1,"bits":"3dcccccd"}"#);
        assert_eq!(json(bits(f32::INFINITY)), r#"{"value":null,"bits":"7f800000"}"#);
    }
}
