//! The best epoch so far, and when to give up on a better one.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    patience: u32,
    epoch: u32,
    /// Whether there was an epoch.
    any: bool,
    /// `None` before the first epoch that has one.
    fitness: Option<f64>,
}

impl Best {
    pub fn new(patience: u32) -> Self {
        Self { patience, epoch: 0, any: false, fitness: None }
    }

    /// Whether `fitness` is better than all before. Of equals the later one counts as better, so
    /// that the first epochs at 0 don't stay the best. An epoch without one is the best only where
    /// it is the first.
    pub fn improves(&mut self, epoch: u32, fitness: Option<f64>) -> bool {
        let better = match fitness {
            Some(fitness) => self.fitness.is_none_or(|best| fitness >= best),
            None => !self.any,
        };
        self.any = true;
        if better {
            (self.epoch, self.fitness) = (epoch, fitness);
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

    #[test]
    fn never_stops_early_while_it_is_improving() {
        let mut best = Best::new(2);
        for epoch in 0..10 {
            assert!(best.improves(epoch, Some(epoch.into())));
            assert!(!best.exhausted(epoch));
        }
    }

    #[test]
    fn stops_when_patience_is_spent_and_never_without_patience() {
        for (patience, stops) in [(2, true), (0, false)] {
            let mut best = Best::new(patience);
            best.improves(0, Some(0.5));
            assert!(!best.improves(1, Some(0.4)));
            assert!(!best.exhausted(1));
            assert!(!best.improves(2, Some(0.4)));
            assert_eq!(best.exhausted(2), stops);
        }
    }

    #[test]
    fn an_epoch_without_a_fitness_is_the_best_only_until_another_comes() {
        let mut best = Best::new(2);
        assert!(best.improves(0, None));
        let text = serde_json::to_string(&best).unwrap();
        let mut best: Best = serde_json::from_str(&text).unwrap();
        assert!(!best.improves(1, None));
        assert!(best.improves(2, Some(0.0)));
        assert!(!best.improves(3, None));
        assert!(!best.improves(4, None));
        assert!(best.exhausted(4));
    }
}
