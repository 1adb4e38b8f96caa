//! The plan that `batch=auto` follows: how many pictures fit into memory at a time.

use serde::{Deserialize, Serialize};

use crate::config::Checkpointing;

/// Share of the free memory that `batch=auto` plans with where none is given.
pub const DEFAULT_SHARE: f64 = 0.6;

/// How `batch=auto` was settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// The policy that it is for.
    pub checkpointing: Checkpointing,
    /// Share of the free memory that may be used.
    pub share: f64,
    /// Bytes that were free.
    pub free: u64,
    /// Bytes that training steps may take: of the share, and of what `memory=` allows, what kept
    /// pictures leave.
    pub available: u64,
    /// Predicted bytes of a step whatever the batch, and for each of its pictures.
    pub fixed: u64,
    pub per_picture: u64,
    /// Pictures to train on: no batch is larger.
    pub pictures: u32,
    /// The batch; 0 where not even one picture fits.
    pub batch: u32,
    /// Larger ones that ran out of memory when they were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<u32>,
}

impl BatchPlan {
    /// Predicted bytes of a step.
    pub fn peak(&self, batch: u32) -> u64 {
        self.fixed + self.per_picture * u64::from(batch)
    }

    /// Sets `batch` to the largest that fits.
    pub fn settled(self) -> Self {
        let fitting = self.available.saturating_sub(self.fixed) / self.per_picture.max(1);
        let batch = u32::try_from(fitting).unwrap_or(u32::MAX).min(self.pictures);
        Self { batch, ..self }
    }

    /// Half the batch, after this one ran out of memory; `None` where there is no smaller one.
    pub fn halved(&self) -> Option<Self> {
        let failed = [&self.failed[..], &[self.batch]].concat();
        (self.batch > 1).then(|| Self { batch: self.batch / 2, failed, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(available: u64) -> BatchPlan {
        let plan = BatchPlan {
            checkpointing: Checkpointing::None,
            share: DEFAULT_SHARE,
            free: 4000,
            available,
            fixed: 100,
            per_picture: 50,
            pictures: 12,
            batch: 0,
            failed: Vec::new(),
        };
        plan.settled()
    }

    #[test]
    fn the_batch_is_the_largest_that_fits_and_that_there_are_pictures_for() {
        assert_eq!([500, 499, 149, 0, 9000].map(|bytes| plan(bytes).batch), [8, 7, 0, 0, 12]);
        assert!(plan(500).peak(8) <= 500 && plan(500).peak(9) > 500);
    }

    #[test]
    fn what_ran_out_of_memory_is_halved_and_remembered() {
        let halved = plan(500).halved().and_then(|plan| plan.halved()).unwrap();
        assert_eq!((halved.batch, &halved.failed[..]), (2, &[8, 4][..]));
        assert_eq!(BatchPlan { batch: 1, ..halved }.halved(), None);
    }
}
