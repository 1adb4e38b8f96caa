//! `Release` files: what a suite is, until when it holds, and the hashes of its indexes. That the
//! text is the archive's is `signature`'s to say.

use std::time::{Duration, SystemTime};

use ybox_spec::Digest;

/// The content of a verified InRelease file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    suite: String,
    codename: String,
    valid_until: Option<String>,
    pub by_hash: bool,
    files: Vec<ReleaseFile>,
}

/// An index and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Below the suite's folder, e.g. `main/binary-amd64/Packages.xz`.
    pub path: String,
    pub size: u64,
    pub sha256: Digest,
}

/// Why a verified Release file is not the one to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    #[error("it is of the suite {found}, not {wanted}")]
    Suite { wanted: String, found: String },
    #[error("it was valid until {0} only: the mirror is out of date, or this machine's clock is")]
    Expired(String),
    #[error("its date `Valid-Until: {0}` can't be read")]
    Date(String),
    #[error("it has no index of {component} for {architecture}")]
    NoIndex { component: String, architecture: String },
}

impl Release {
    pub fn parse(text: &str) -> Self {
        let mut release = Self::default();
        let mut section = String::new();
        for line in text.lines().map(str::trim_end) {
            if line.starts_with(' ') {
                if section == "SHA256" {
                    release.files.extend(ReleaseFile::parse(line));
                }
            } else if let Some((field, value)) = line.split_once(':') {
                section = field.to_owned();
                release.set(field, value.trim());
            }
        }
        release
    }

    fn set(&mut self, field: &str, value: &str) {
        match field {
            "Suite" => self.suite = value.into(),
            "Codename" => self.codename = value.into(),
            "Valid-Until" => self.valid_until = Some(value.into()),
            "Acquire-By-Hash" => self.by_hash = value == "yes",
            _ => {}
        }
    }

    /// Whether this is the suite `wanted` and holds at the time `now`.
    pub fn check(&self, wanted: &str, now: SystemTime) -> Result<(), ReleaseError> {
        if self.suite != wanted && self.codename != wanted {
            return Err(ReleaseError::Suite {
                wanted: wanted.into(),
                found: format!("{} {}", self.suite, self.codename).trim().into(),
            });
        }
        let Some(until) = &self.valid_until else { return Ok(()) };
        let end = parse_date(until).ok_or_else(|| ReleaseError::Date(until.clone()))?;
        if now > end {
            return Err(ReleaseError::Expired(until.clone()));
        }
        Ok(())
    }

    /// The `Packages` index of a component, in the best compression that is there.
    pub fn packages(
        &self,
        component: &str,
        architecture: &str,
    ) -> Result<&ReleaseFile, ReleaseError> {
        ["xz", "gz"]
            .iter()
            .map(|suffix| format!("{component}/binary-{architecture}/Packages.{suffix}"))
            .find_map(|path| self.files.iter().find(|file| file.path == path))
            .ok_or_else(|| ReleaseError::NoIndex {
                component: component.into(),
                architecture: architecture.into(),
            })
    }
}

impl ReleaseFile {
    /// ` HASH SIZE PATH`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            path: path.into(),
            size: size.parse().ok()?,
            sha256: Digest::from_hex(hash).ok()?,
        })
    }

    /// Where the file keeps lying when the archive changes: by its hash.
    pub fn by_hash(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/by-hash/SHA256/{}", self.sha256.hex())
    }
}

/// A date as in `Sat, 28 Nov 2026 00:53:03 UTC`.
fn parse_date(date: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = date.split_once(',')?;
    let words: Vec<&str> = date.split_whitespace().collect();
    let [day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let days = days_since_1970(year.parse().ok()?, month, day.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    let seconds = u64::try_from(days).ok()? * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Days of the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Origin: Debian
Suite: stable-security
Codename: trixie-security
Valid-Until: Sat, 28 Nov 2026 00:53:03 UTC
Acquire-By-Hash: yes
MD5Sum:
 d41d8cd98f00b204e9800998ecf8427e 9 main/binary-amd64/Packages.xz
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855       20 main/binary-amd64/Packages.gz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages.xz
";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d '...' +%s
        for (date, seconds) in [
            ("Sat, 28 Nov 2026 00:53:03 UTC", 1_795_827_183),
            ("Thu, 29 Feb 2024 23:59:59 UTC", 1_709_251_199),
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
        ] {
            assert_eq!(parse_date(date), Some(at(seconds)), "{date}");
        }
        assert_eq!(parse_date("Sat, 28 Nov 2026 00:53:03 CET"), None);
    }

    #[test]
    fn holds_until_its_last_second_and_only_for_its_suite() {
        let release = Release::parse(TEXT);
        assert_eq!(release.check("trixie-security", at(1_795_827_183)), Ok(()));
        assert_eq!(release.check("stable-security", at(0)), Ok(()));
        let expired = release.check("trixie-security", at(1_795_827_184));
        assert!(matches!(expired, Err(ReleaseError::Expired(_))));
        let other = release.check("bookworm-security", at(0));
        assert!(matches!(other, Err(ReleaseError::Suite { .. })));
    }

    #[test]
    fn finds_the_index_and_its_sha256() {
        let release = Release::parse(TEXT);
        let index = release.packages("main", "amd64").unwrap();
        assert_eq!((index.path.as_str(), index.size), ("main/binary-amd64/Packages.xz", 0));
        assert_eq!(
            index.by_hash(),
            "main/binary-amd64/by-hash/SHA256/\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(release.packages("main", "arm64").is_err());
    }
}
