//! Versions that hardware and drivers report: driver version, CUDA version, compute capability.
//! Compared in full, never by their first number alone. What a version is good for is `plan`'s
//! business.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("`{0}` is not a version")]
    Form(String),
    #[error("`{0}` is a driver branch, not a full driver version")]
    BranchOnly(String),
}

/// A full driver version such as `535.129.03`: two to four numbers. Keeps its own spelling and
/// compares by its numbers, a missing one being zero.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverVersion {
    text: String,
    /// Without trailing zeros, so that comparing them compares versions.
    numbers: Vec<u32>,
}

impl DriverVersion {
    /// The release branch, e.g. 535.
    pub fn branch(&self) -> u32 {
        self.numbers.first().copied().unwrap_or(0)
    }
}

impl FromStr for DriverVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let form = || VersionError::Form(text.to_owned());
        let mut numbers =
            text.split('.').map(number).collect::<Option<Vec<_>>>().ok_or_else(form)?;
        match numbers.len() {
            1 => return Err(VersionError::BranchOnly(text.to_owned())),
            2..=4 => {}
            _ => return Err(form()),
        }
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Ok(Self { text: text.to_owned(), numbers })
    }
}

impl Ord for DriverVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers)
    }
}

impl PartialOrd for DriverVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DriverVersion {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl Eq for DriverVersion {}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A CUDA version, e.g. `13.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CudaVersion {
    pub major: u32,
    pub minor: u32,
}

impl CudaVersion {
    /// From the driver's own encoding, e.g. 12060 for 12.6.
    pub fn from_driver(encoded: i32) -> Option<Self> {
        let encoded = u32::try_from(encoded).ok().filter(|n| *n >= 1000)?;
        Some(Self { major: encoded / 1000, minor: encoded % 1000 / 10 })
    }
}

/// A compute capability, e.g. `7.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability {
    pub major: u32,
    pub minor: u32,
}

impl Capability {
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The name of its machine code, e.g. `sm_75`.
    pub fn sm(self) -> String {
        format!("sm_{}{}", self.major, self.minor)
    }
}

/// Decimal digits only: `u32::from_str` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn pair(text: &str) -> Result<(u32, u32), VersionError> {
    text.split_once('.')
        .and_then(|(major, minor)| Some((number(major)?, number(minor)?)))
        .ok_or_else(|| VersionError::Form(text.to_owned()))
}

macro_rules! two_numbers {
    ($type:ident) => {
        impl FromStr for $type {
            type Err = VersionError;

            fn from_str(text: &str) -> Result<Self, VersionError> {
                pair(text).map(|(major, minor)| Self { major, minor })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{}", self.major, self.minor)
            }
        }
    };
}

macro_rules! string_form {
    ($($type:ident),*) => {$(
        impl TryFrom<String> for $type {
            type Error = VersionError;

            fn try_from(text: String) -> Result<Self, VersionError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(version: $type) -> Self {
                version.to_string()
            }
        }
    )*};
}

two_numbers!(CudaVersion);
two_numbers!(Capability);
string_form!(DriverVersion, CudaVersion, Capability);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn driver(text: &str) -> DriverVersion {
        text.parse().unwrap()
    }

    #[test]
    fn compares_in_full() {
        assert!(driver("525.60.11") < driver("525.60.13"));
        assert!(driver("527.40") < driver("527.41"));
        assert!(driver("535.54.03") < driver("535.129.03"));
        assert!(driver("470.256.02") < driver("525.60.13"));
        assert_eq!(driver("580.65.06"), driver("580.65.6"));
        assert_eq!(driver("580.65.06").to_string(), "580.65.06");
        assert_eq!(driver("528.33"), driver("528.33.00"));
    }

    #[test]
    fn refuses_what_is_no_version() {
        assert_eq!("580".parse::<DriverVersion>(), Err(VersionError::BranchOnly("580".into())));
        for text in ["", "580.", ".1", "580.x", "+580.1", "1.2.3.4.5", "580.99999999999"] {
            assert_eq!(text.parse::<DriverVersion>(), Err(VersionError::Form(text.into())));
        }
        for text in ["", "8", "8.", "8.6.1", "sm_86", "-8.6"] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_the_driver_s_encoding() {
        let version = |n| CudaVersion::from_driver(n).map(|v| v.to_string());
        assert_eq!(version(12060), Some("12.6".into()));
        assert_eq!(version(13000), Some("13.0".into()));
        assert_eq!(version(11080), Some("11.8".into()));
        assert_eq!((version(0), version(-1)), (None, None));
    }

    proptest! {
        #[test]
        fn orders_like_its_numbers(a in prop::array::uniform3(0u32..1000), b in prop::array::uniform3(0u32..1000)) {
            let text = |n: [u32; 3]| format!("{}.{:02}.{:02}", n[0], n[1], n[2]);
            prop_assert_eq!(driver(&text(a)).cmp(&driver(&text(b))), a.cmp(&b));
        }

        #[test]
        fn a_missing_number_is_zero(a in 0u32..1000, b in 0u32..1000, c in 1u32..1000) {
            let short = driver(&format!("{a}.{b}"));
            prop_assert_eq!(&short, &driver(&format!("{a}.{b}.0")));
            let longer = driver(&format!("{a}.{b}.{c}"));
            prop_assert!(short < longer);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}") {
            let _ = (text.parse::<DriverVersion>(), text.parse::<Capability>());
        }
    }
}
