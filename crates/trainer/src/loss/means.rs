//! Means of loss components, over what is finite.

use serde::{Deserialize, Serialize};
use ybox_spec::events::Losses;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Means {
    /// What was finite.
    pub measured: u64,
    losses: [f64; 3],
}

impl Means {
    /// Adds box, class and DFL loss, where all three are finite.
    pub fn add(&mut self, items: [f64; 3]) {
        if items.iter().all(|item| item.is_finite()) {
            self.measured += 1;
            self.losses = std::array::from_fn(|i| self.losses[i] + items[i]);
        }
    }

    /// 0 where nothing was finite.
    pub fn losses(&self) -> Losses {
        let measured = self.measured.max(1) as f64;
        let [box_loss, cls_loss, dfl_loss] = self.losses.map(|sum| sum / measured);
        Losses { box_loss, cls_loss, dfl_loss }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_what_is_finite() {
        let mut means = Means::default();
        for items in [[1.0, 2.0, 3.0], [1.0, f64::NAN, 1.0], [f64::INFINITY; 3], [3.0, 4.0, 5.0]] {
            means.add(items);
        }
        let losses = Losses { box_loss: 2.0, cls_loss: 3.0, dfl_loss: 4.0 };
        assert_eq!((means.measured, means.losses()), (2, losses));
        let none = Losses { box_loss: 0.0, cls_loss: 0.0, dfl_loss: 0.0 };
        assert_eq!(Means::default().losses(), none);
    }
}
