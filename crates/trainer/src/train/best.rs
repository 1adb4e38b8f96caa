//! The best epoch so far, and when to give up on a better one.

use serde::{Deserialize, Serialize};
use ybox_spec::events::Metrics;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    patience: u32,
    epoch: u32,
    /// `None` before the first epoch.
    fitness: Option<f64>,
}

impl Best {
    pub fn new(patience: u32) -> Self {
        Self { patience, epoch: 0, fitness: None }
    }

    /// Whether `metrics` are better than all before: by mAP50-95, with a tenth of mAP50. Of equals
    /// the later one counts as better, so that the first epochs at 0 don't stay the best.
    pub fn improves(&mut self, epoch: u32, metrics: &Metrics) -> bool {
        let fitness = 0.1 * metrics.map50 + 0.9 * metrics.map;
        let better = self.fitness.is_none_or(|best| fitness >= best);
        if better {
            (self.epoch, self.fitness) = (epoch, Some(fitness));
        }
        better
    }

    pub fn exhausted(&self, epoch: u32) -> bool {
        self.patience > 0 && epoch - self.epoch >= self.patience
    }

    pub fn why(&self) -> String {
        let (patience, best) = (self.patience, self.epoch + 1);
        format!("no better epoch than {best} within {patience}: stopped early")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(map: f64) -> Metrics {
        Metrics { map, ..Default::default() }
    }

    #[test]
    fn never_stops_early_while_it_is_improving() {
        let mut best = Best::new(2);
        for epoch in 0..10 {
            assert!(best.improves(epoch, &metrics(f64::from(epoch))));
            assert!(!best.exhausted(epoch));
        }
    }

    #[test]
    fn stops_when_patience_is_spent_and_never_without_patience() {
        for (patience, stops) in [(2, true), (0, false)] {
            let mut best = Best::new(patience);
            best.improves(0, &metrics(0.5));
            assert!(!best.improves(1, &metrics(0.4)));
            assert!(!best.exhausted(1));
            assert!(!best.improves(2, &metrics(0.4)));
            assert_eq!(best.exhausted(2), stops);
        }
    }
}
