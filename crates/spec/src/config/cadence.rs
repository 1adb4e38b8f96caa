//! How often a training keeps a checkpoint.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Written as a number of steps (`200`), or as a time (`90s`, `5m`, `1h`); `0` for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointEvery {
    Never,
    Steps(u64),
    Time(Duration),
}

const UNITS: [(char, u64); 3] = [('s', 1), ('m', 60), ('h', 3600)];

impl FromStr for CheckpointEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is neither a number of steps nor a time: write it like 200, 90s or 5m"
            )
        };
        let unit = UNITS
            .iter()
            .find_map(|(unit, seconds)| text.strip_suffix(*unit).map(|number| (number, *seconds)));
        let (number, seconds) = unit.map_or((text, None), |(number, s)| (number, Some(s)));
        let number: u64 = number.parse().map_err(|_| wrong())?;
        match seconds {
            _ if number == 0 => Ok(Self::Never),
            None => Ok(Self::Steps(number)),
            Some(seconds) => {
                let seconds = number.checked_mul(seconds).ok_or_else(wrong)?;
                Ok(Self::Time(Duration::from_secs(seconds)))
            }
        }
    }
}

impl fmt::Display for CheckpointEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => write!(f, "0"),
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Time(time) => write!(f, "{}s", time.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times_are_told_apart() {
        let seconds = |s| CheckpointEvery::Time(Duration::from_secs(s));
        for (text, every, shown) in [
            ("0", CheckpointEvery::Never, "0"),
            ("0m", CheckpointEvery::Never, "0"),
            ("200", CheckpointEvery::Steps(200), "200"),
            ("90s", seconds(90), "90s"),
            ("5m", seconds(300), "300s"),
            ("1h", seconds(3600), "3600s"),
        ] {
            let parsed: CheckpointEvery = text.parse().unwrap();
            assert_eq!((parsed, parsed.to_string().as_str()), (every, shown));
        }
        for bad in ["", "s", "-1", "1.5m", "5 min", "99999999999999999999h"] {
            assert!(bad.parse::<CheckpointEvery>().is_err(), "{bad}");
        }
    }
}
