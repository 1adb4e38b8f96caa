//! What a verification found: checks as data. How they look is decided where they are shown.

use serde::{Serialize, Serializer};
use ybox_spec::Digest;

use crate::trust::Refusal;

/// All checks of a run, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
}

/// One thing that was compared, or could not be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub item: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    Ok { detail: String },
    Bad(Mismatch),
    NotChecked(Gap),
}

/// How something differs from what the record says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("expected {expected}, found {found}")]
    Digest { expected: Digest, found: Digest },
    #[error("missing")]
    Missing,
    #[error("not in the record")]
    Unrecorded,
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    Chain(String),
    #[error("its bytes are not those that ybox writes for this content")]
    Form,
    #[error("{0}")]
    Contradiction(String),
    #[error("{code}: {0}", code = .0.code())]
    Untrusted(Refusal),
}

impl Mismatch {
    /// Stable name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Digest { .. } => "digest-differs",
            Self::Missing => "missing",
            Self::Unrecorded => "unrecorded",
            Self::Unreadable(_) => "unreadable",
            Self::Chain(_) => "chain-broken",
            Self::Form => "form-differs",
            Self::Contradiction(_) => "contradiction",
            Self::Untrusted(_) => "not-trusted",
        }
    }
}

/// Why something could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    #[error("no image with manifest {0} is in the local store")]
    ImageNotHere(Digest),
    #[error("the data set is not at {0}")]
    DataNotHere(String),
    #[error("the list of files itself was changed")]
    NoManifest,
    #[error("there is no file {0} any more")]
    WeightsNotHere(String),
    #[error("there is no trust policy")]
    NoPolicy,
    #[error("the trust policy asks for no signature of {0}")]
    NoKeys(String),
}

impl Gap {
    /// Stable name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ImageNotHere(_) => "image-not-here",
            Self::DataNotHere(_) => "data-not-here",
            Self::NoManifest => "no-manifest",
            Self::WeightsNotHere(_) => "weights-not-here",
            Self::NoPolicy => "no-policy",
            Self::NoKeys(_) => "no-keys",
        }
    }
}

impl Serialize for Mismatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        code_and_reason(self.code(), self, serializer)
    }
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        code_and_reason(self.code(), self, serializer)
    }
}

fn code_and_reason<S: Serializer>(
    code: &str,
    reason: &dyn std::error::Error,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("code", code)?;
    map.serialize_entry("reason", &reason.to_string())?;
    map.end()
}

impl Check {
    pub(super) fn ok(item: impl Into<String>, detail: impl ToString) -> Self {
        Self { item: item.into(), outcome: Outcome::Ok { detail: detail.to_string() } }
    }

    pub(super) fn bad(item: impl Into<String>, mismatch: Mismatch) -> Self {
        Self { item: item.into(), outcome: Outcome::Bad(mismatch) }
    }

    pub(super) fn skipped(item: impl Into<String>, gap: Gap) -> Self {
        Self { item: item.into(), outcome: Outcome::NotChecked(gap) }
    }

    /// Whether two digests that must be the same are.
    pub(super) fn digests(item: impl Into<String>, expected: Digest, found: Digest) -> Self {
        match expected == found {
            true => Self::ok(item, found),
            false => Self::bad(item, Mismatch::Digest { expected, found }),
        }
    }

    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, Outcome::Bad(_))
    }

    pub fn is_skipped(&self) -> bool {
        matches!(self.outcome, Outcome::NotChecked(_))
    }
}

impl Report {
    /// Whether nothing differs. What could not be checked does not differ.
    pub fn passes(&self) -> bool {
        !self.checks.iter().any(Check::is_bad)
    }

    /// Items of the checks for which `which` holds.
    pub fn items(&self, which: fn(&Check) -> bool) -> Vec<&str> {
        self.checks.iter().filter(|c| which(c)).map(|c| c.item.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let digest = Digest::of(b"");
        let mismatches = [
            Mismatch::Digest { expected: digest, found: digest },
            Mismatch::Missing,
            Mismatch::Unrecorded,
            Mismatch::Unreadable(String::new()),
            Mismatch::Chain(String::new()),
            Mismatch::Form,
            Mismatch::Contradiction(String::new()),
            Mismatch::Untrusted(Refusal::NoRule),
        ];
        let gaps = [
            Gap::ImageNotHere(digest),
            Gap::DataNotHere(String::new()),
            Gap::NoManifest,
            Gap::WeightsNotHere(String::new()),
            Gap::NoPolicy,
            Gap::NoKeys(String::new()),
        ];
        let mut codes: Vec<_> =
            mismatches.iter().map(Mismatch::code).chain(gaps.iter().map(Gap::code)).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn json_says_outcome_code_and_reason() {
        let report =
            Report { checks: vec![Check::ok("a", "1"), Check::bad("b", Mismatch::Missing)] };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"checks":[{"item":"a","outcome":"ok","detail":"1"},"#,
                r#"{"item":"b","outcome":"bad","code":"missing","reason":"missing"}]}"#
            )
        );
    }
}
