//! Where decoded pictures are kept between their uses.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What `cache=` takes. No result depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub enum CacheChoice {
    /// In memory, up to a size for which no one has to think about memory.
    #[default]
    Auto,
    /// Nowhere: each is decoded whenever it is needed.
    Off,
    /// In memory, as many as half of the free memory takes.
    Ram,
    /// On the disk, as many as half of its free space takes, for later runs too.
    Disk,
}

impl CacheChoice {
    const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::Ram, Self::Disk];

    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Ram => "ram",
            Self::Disk => "disk",
        }
    }
}

impl FromStr for CacheChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("`{text}` is none of False, True, auto, ram and disk"))
    }
}

/// `True` and `False` as users of other tools write them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "none of False, True, auto, ram and disk")]
enum Scalar {
    Switch(bool),
    Name(String),
}

impl TryFrom<Scalar> for CacheChoice {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Switch(true) => Ok(Self::Ram),
            Scalar::Switch(false) => Ok(Self::Off),
            Scalar::Name(name) => name.parse(),
        }
    }
}

impl From<CacheChoice> for String {
    fn from(cache: CacheChoice) -> Self {
        cache.name().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_spellings_of_others() {
        let read = |yaml: &str| serde_yaml::from_str::<CacheChoice>(yaml);
        for (yaml, expected) in [
            ("True", CacheChoice::Ram),
            ("ram", CacheChoice::Ram),
            ("False", CacheChoice::Off),
            ("off", CacheChoice::Off),
            ("disk", CacheChoice::Disk),
            ("auto", CacheChoice::Auto),
        ] {
            assert_eq!(read(yaml).unwrap(), expected, "{yaml}");
        }
        for wrong in ["tape", "2"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("none of False, True, auto, ram and disk"), "{error}");
        }
        let written = serde_json::to_string(&CacheChoice::Off).unwrap();
        assert_eq!(serde_json::from_str::<CacheChoice>(&written).unwrap(), CacheChoice::Off);
    }
}
