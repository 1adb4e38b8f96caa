//! Memory: sizes as people write them, and the plan that `checkpointing=auto` follows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Checkpointing;

/// Bytes, written like `12GiB`, `800MB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
];

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size: write it like 12GiB or 800MB");
        let unit = |(name, factor): &(&str, u64)| {
            let end = text.len().checked_sub(name.len())?;
            let (number, rest) = text.split_at_checked(end)?;
            rest.eq_ignore_ascii_case(name).then_some((number, *factor))
        };
        let (number, factor) = UNITS.iter().find_map(unit).unwrap_or((text, 1));
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let bytes = number * factor as f64;
        if !(1.0..=2f64.powi(60)).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 30 => write!(f, "{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
            bytes => write!(f, "{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
        }
    }
}

/// What each policy is predicted to need, and which one was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// Pictures per batch that it is for.
    pub batch: u32,
    /// Bytes that the training may add to what it held when the plan was made.
    pub available: u64,
    /// In the order of time per step, the fastest first.
    pub policies: Vec<PlannedPolicy>,
    pub chosen: Checkpointing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPolicy {
    pub policy: Checkpointing,
    /// Predicted peak, in bytes.
    pub peak: u64,
    /// Of those, per picture of the batch.
    pub per_picture: u64,
}

impl MemoryPlan {
    /// The first policy that fits is chosen; the one that needs least where none does.
    ///
    /// # Panics
    /// Without policies.
    pub fn new(batch: u32, available: u64, policies: Vec<PlannedPolicy>) -> Self {
        let fitting = policies.iter().find(|planned| planned.peak <= available);
        let chosen =
            fitting.or_else(|| least(&policies)).expect("at least one policy is planned").policy;
        Self { batch, available, policies, chosen }
    }

    pub fn fits(&self) -> bool {
        self.policies.iter().any(|planned| planned.peak <= self.available)
    }

    /// The largest batch that fits under the policy that needs least; 0 where none does.
    pub fn largest_batch(&self) -> u64 {
        let Some(least) = least(&self.policies) else { return 0 };
        let fixed = least.peak.saturating_sub(least.per_picture * u64::from(self.batch));
        self.available.saturating_sub(fixed) / least.per_picture.max(1)
    }
}

/// The one that needs least.
fn least(policies: &[PlannedPolicy]) -> Option<&PlannedPolicy> {
    policies.iter().min_by_key(|planned| planned.peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let bytes = |text: &str| text.parse::<MemorySize>().map(|size| size.0);
        assert_eq!(bytes("12GiB"), Ok(12 << 30));
        assert_eq!(bytes("1.5 gib"), Ok(3 << 29));
        assert_eq!(bytes("800MB"), Ok(800_000_000));
        assert_eq!(bytes("4g"), Ok(4 << 30));
        assert_eq!(bytes("4096"), Ok(4096));
        for wrong in ["", "GiB", "-1GiB", "12 apples", "0", "nan", "1e99GiB", "\u{e9}B"] {
            assert!(bytes(wrong).unwrap_err().contains("12GiB"), "{wrong}");
        }
        assert_eq!(MemorySize(3 << 29).to_string(), "1.50 GiB");
        assert_eq!(MemorySize(700 << 20).to_string(), "700 MiB");
    }

    #[test]
    fn the_fastest_policy_that_fits_is_chosen() {
        let planned = |policy, peak, per_picture| PlannedPolicy { policy, peak, per_picture };
        let policies =
            vec![planned(Checkpointing::None, 1700, 100), planned(Checkpointing::Layer, 500, 25)];
        let plan = |available| MemoryPlan::new(16, available, policies.clone());
        assert_eq!(plan(1700).chosen, Checkpointing::None);
        assert_eq!(plan(1699).chosen, Checkpointing::Layer);
        assert!(plan(500).fits() && !plan(499).fits());
        assert_eq!(plan(499).chosen, Checkpointing::Layer);
        assert_eq!([plan(499), plan(0)].map(|plan| plan.largest_batch()), [15, 0]);
    }
}
