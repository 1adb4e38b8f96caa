//! Exponential moving average of a model's weights and running statistics: what is validated and
//! saved. Whole numbers, such as batch counters, are copied.

use tch::{Tensor, no_grad};

use super::StateError;
use super::state::restore;

/// An average that follows living tensors.
#[derive(Debug)]
pub struct Ema {
    tracked: Vec<Tracked>,
    /// Updates so far, `[1]` i64: a tensor, so that it is saved like the rest.
    updates: Tensor,
    decay: f64,
    tau: f64,
}

#[derive(Debug)]
struct Tracked {
    name: String,
    live: Tensor,
    mean: Tensor,
}

impl Ema {
    /// Starts from the present values of `live`, whose storage it shares and follows.
    ///
    /// `decay`: the final decay per update; `tau`: updates over which it ramps up.
    pub fn new(live: &[(String, Tensor)], decay: f64, tau: f64) -> Self {
        let tracked = live
            .iter()
            .map(|(name, live)| Tracked {
                name: name.clone(),
                live: live.detach(),
                mean: live.detach().copy(),
            })
            .collect();
        Self { tracked, updates: Tensor::from_slice(&[0i64]), decay, tau }
    }

    /// Follows the living tensors by one step.
    pub fn update(&mut self) {
        let _ = self.updates.g_add_scalar_(1);
        let share = 1. - self.decay_at(self.updates());
        no_grad(|| {
            for Tracked { live, mean, .. } in &mut self.tracked {
                if mean.is_floating_point() {
                    let _ = mean.lerp_(&live.to_kind(mean.kind()), share);
                } else {
                    mean.copy_(live);
                }
            }
        });
    }

    /// Takes from the living tensors those averages that are not finite throughout; returns their
    /// names. An average would otherwise never be finite again.
    pub fn mend(&mut self) -> Vec<String> {
        let floats = |t: &&mut Tracked| t.mean.is_floating_point();
        let mut mended = Vec::new();
        for Tracked { name, live, mean } in self.tracked.iter_mut().filter(floats) {
            if mean.isfinite().all().int64_value(&[]) == 0 {
                no_grad(|| mean.copy_(live));
                mended.push(name.clone());
            }
        }
        mended
    }

    pub fn updates(&self) -> i64 {
        self.updates.int64_value(&[0])
    }

    /// The decay of the given update, from 1: short at first, so that the average leaves the
    /// initial weights quickly.
    fn decay_at(&self, update: i64) -> f64 {
        self.decay * (1. - libm::exp(-(update as f64) / self.tau))
    }

    /// The averages, sharing storage, under the names of the living tensors.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.tracked.iter().map(|t| (t.name.clone(), t.mean.shallow_clone())).collect()
    }

    /// Exchanges the values of the living tensors and the averages, so that the model runs with
    /// the averages. Call it again to undo it, before the next update.
    pub fn swap(&mut self) {
        no_grad(|| {
            for Tracked { live, mean, .. } in &mut self.tracked {
                let kept = live.copy();
                live.copy_(mean);
                mean.copy_(&kept);
            }
        });
    }

    /// Everything that the next update depends on beside the living tensors. The tensors share
    /// storage.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = vec![("updates".to_owned(), self.updates.shallow_clone())];
        let means = self.tracked.iter();
        state.extend(means.map(|t| (format!("mean.{}", t.name), t.mean.shallow_clone())));
        state
    }

    /// Goes on from what [`Self::state`] gave. On an error nothing has changed.
    pub fn load_state(&mut self, saved: &[(String, Tensor)]) -> Result<(), StateError> {
        restore(self.state(), saved)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn live() -> Vec<(String, Tensor)> {
        vec![
            ("weight".into(), Tensor::from_slice(&[1f32, -2., 3.]).set_requires_grad(true)),
            ("batches".into(), Tensor::from_slice(&[0i64])),
        ]
    }

    fn grow(live: &mut [(String, Tensor)]) {
        no_grad(|| live.iter_mut().for_each(|(_, tensor)| drop(tensor.g_add_scalar_(1))));
    }

    fn bits(state: &[(String, Tensor)]) -> Vec<(String, Vec<f64>)> {
        state
            .iter()
            .map(|(n, t)| (n.clone(), Vec::try_from(t.to_kind(Kind::Double)).unwrap()))
            .collect()
    }

    #[test]
    fn follows_with_a_decay_that_ramps_up() {
        let mut live = live();
        let mut ema = Ema::new(&live, 0.9, 2.);
        let mut expected = 1.0f64;
        for update in 1..=5 {
            grow(&mut live);
            ema.update();
            let decay = 0.9 * (1. - (-f64::from(update) / 2.).exp());
            expected = decay * expected + (1. - decay) * f64::from(1 + update);
            let mean = ema.tensors()[0].1.double_value(&[0]);
            assert!((mean - expected).abs() < 1e-6, "{update}: {mean} {expected}");
        }
        assert_eq!(ema.tensors()[1].1.int64_value(&[0]), 5);
    }

    #[test]
    fn an_average_that_is_not_finite_is_taken_from_the_weights() {
        let live = live();
        let mut ema = Ema::new(&live, 0.9, 2.);
        assert_eq!(ema.mend(), Vec::<String>::new());
        let _ = ema.tensors()[0].1.get(1).fill_(f64::NAN);
        assert_eq!(ema.mend(), ["weight"]);
        assert_eq!(bits(&ema.tensors()), bits(&live));
    }

    #[test]
    fn swapping_twice_changes_nothing() {
        let mut live = live();
        let mut ema = Ema::new(&live, 0.9, 2.);
        grow(&mut live);
        let (before, mean) = (bits(&live), bits(&ema.tensors()));
        ema.swap();
        assert_eq!(bits(&live), mean);
        ema.swap();
        assert_eq!((bits(&live), bits(&ema.tensors())), (before, mean));
    }

    #[test]
    fn goes_on_from_a_saved_state_with_the_same_bits() {
        let mut live = live();
        let mut ema = Ema::new(&live, 0.99, 7.);
        grow(&mut live);
        ema.update();
        let saved: Vec<_> = ema.state().iter().map(|(n, t)| (n.clone(), t.copy())).collect();
        let mut resumed = Ema::new(&live, 0.99, 7.);
        resumed.load_state(&saved).unwrap();
        grow(&mut live);
        ema.update();
        resumed.update();
        assert_eq!(bits(&resumed.state()), bits(&ema.state()));
    }
}
