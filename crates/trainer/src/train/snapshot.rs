//! Copies of what a step changes: the running statistics before it, kept at every step, and the
//! whole state of a training, kept now and then to be gone back to.

use tch::{Device, Kind, Tensor, no_grad};

use super::guard::Usual;
use crate::model::Yolo12;
use crate::optim::grad_scaler::State;
use crate::optim::{Ema, GradScaler, Optimizer, StateError, restore};

/// Named tensors that share their storage with what they are of.
pub type Named = Vec<(String, Tensor)>;

/// Running means and variances and counts of batches, which forward moves before anyone knows
/// whether its step is taken.
pub struct Statistics {
    live: Vec<Tensor>,
    counts: Vec<Tensor>,
    /// All in a row, so that keeping them is one operation and not hundreds.
    kept: Tensor,
    kept_counts: Tensor,
}

impl Statistics {
    pub fn of(model: &Yolo12) -> Self {
        let live: Vec<Tensor> = model.buffers().into_iter().map(|b| b.tensor).collect();
        let named = model.named_tensors().into_iter().map(|(_, tensor)| tensor);
        let counts: Vec<Tensor> = named.filter(|t| t.kind() == Kind::Int64).collect();
        let (kept, kept_counts) = (Tensor::cat(&live, 0), Tensor::stack(&counts, 0));
        Self { live, counts, kept, kept_counts }
    }

    /// What was kept; the tensors share its storage.
    pub fn state(&self) -> Named {
        let kept = ("kept".to_owned(), self.kept.shallow_clone());
        vec![kept, ("counts".to_owned(), self.kept_counts.shallow_clone())]
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn load_state(&mut self, saved: &Named) -> Result<(), StateError> {
        restore(self.state(), saved)
    }

    pub fn keep(&mut self) {
        self.kept = Tensor::cat(&self.live, 0);
        self.kept_counts = Tensor::stack(&self.counts, 0);
    }

    pub fn restore(&mut self) {
        let lengths: Vec<i64> = self.live.iter().map(|t| t.numel() as i64).collect();
        let kept = self.kept.split_with_sizes(lengths, 0).into_iter();
        let kept = kept.chain(self.kept_counts.unbind(0));
        let live = self.live.iter_mut().chain(&mut self.counts);
        no_grad(|| live.zip(kept).for_each(|(live, kept)| live.copy_(&kept)));
    }
}

/// A state in the memory of the host.
pub struct Snapshot {
    /// Steps that had been taken.
    pub step: u64,
    pub usual: Usual,
    pub model: Named,
    pub average: Named,
    pub optimizer: Named,
    pub scaler: Option<State>,
}

impl Snapshot {
    pub fn of(
        model: &Yolo12,
        average: &Ema,
        optimizer: &Optimizer,
        scaler: Option<&GradScaler>,
    ) -> Self {
        Self {
            step: 0,
            usual: Usual::default(),
            model: copies(model.state_dict()),
            average: copies(average.state()),
            optimizer: copies(optimizer.state()),
            scaler: scaler.map(GradScaler::state),
        }
    }

    pub fn after(self, step: u64, usual: Usual) -> Self {
        Self { step, usual, ..self }
    }
}

/// Copies in the memory of the host.
pub fn copies(state: Named) -> Named {
    let copy = |tensor: &Tensor| no_grad(|| tensor.detach().copy().to_device(Device::Cpu));
    state.into_iter().map(|(name, tensor)| (name, copy(&tensor))).collect()
}

/// Name of a tensor with a value that is not finite, with one reading from the device.
pub fn first_not_finite(state: &[(String, Tensor)]) -> Option<String> {
    let floats: Vec<_> = state.iter().filter(|(_, tensor)| tensor.is_floating_point()).collect();
    let finite: Vec<Tensor> = floats.iter().map(|(_, t)| t.isfinite().all()).collect();
    if finite.is_empty() {
        return None;
    }
    let finite = Vec::<bool>::try_from(Tensor::stack(&finite, 0)).expect("a row of flags");
    let found = floats.iter().zip(finite).find(|(_, finite)| !finite);
    found.map(|((name, _), _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_tensor_that_is_not_finite() {
        let state = |values: [f32; 2]| {
            vec![
                ("count".to_owned(), Tensor::from(3i64)),
                ("a".to_owned(), Tensor::from_slice(&[1f32, f32::MAX])),
                ("b".to_owned(), Tensor::from_slice(&values)),
            ]
        };
        assert_eq!(first_not_finite(&state([1., -1.])), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(first_not_finite(&state([1., bad])).as_deref(), Some("b"));
        }
    }
}
