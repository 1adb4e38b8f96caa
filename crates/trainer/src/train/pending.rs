//! Batches whose gradients wait for a step, and what they measured: it stays on the device until a
//! step reads it all at once.

use tch::{Device, Tensor, no_grad};

use super::guard::Measured;
use crate::loss::LossOutput;

#[derive(Debug, Default)]
pub struct Pending {
    pub batches: u32,
    pub(super) pictures: u64,
    /// Sum over the batches that were read.
    loss: f32,
    /// `[4]` each: loss, and its components.
    unread: Vec<Tensor>,
}

/// Loss components of a batch after their gains: box, class, DFL.
pub type Items = [f32; 3];

impl Pending {
    pub fn add(&mut self, loss: &LossOutput, pictures: usize) {
        self.batches += 1;
        self.pictures += pictures as u64;
        let total = loss.total.detach().view([1]);
        self.unread.push(no_grad(|| Tensor::cat(&[total, loss.items.shallow_clone()], 0)));
    }

    /// Components of the batches since the last reading.
    pub fn read(&mut self) -> Vec<Items> {
        let unread = std::mem::take(&mut self.unread);
        if unread.is_empty() {
            return Vec::new();
        }
        let values = numbers(&Tensor::cat(&unread, 0));
        values.chunks_exact(4).map(|batch| self.count(batch)).collect()
    }

    /// Ends the accumulation: what it measured, with `norm` of its gradient, and components of the
    /// batches since the last reading.
    pub fn finish(&mut self, norm: Tensor) -> (Measured, Vec<Items>) {
        let mut pending = std::mem::take(self);
        let mut row = std::mem::take(&mut pending.unread);
        row.push(norm.view([1]));
        let values = numbers(&Tensor::cat(&row, 0));
        let (norm, batches) = values.split_last().expect("the norm is among them");
        let items = batches.chunks_exact(4).map(|batch| pending.count(batch)).collect();
        let Self { loss, pictures, .. } = pending;
        (Measured { loss, norm: *norm, pictures }, items)
    }

    /// `[1 + 4 x batches]`: the sum over the batches that were read, and those that were not.
    pub fn values(&self) -> Tensor {
        let read = Tensor::from_slice(&[self.loss]);
        let unread = self.unread.iter().map(|batch| batch.to_device(Device::Cpu));
        Tensor::cat(&std::iter::once(read).chain(unread).collect::<Vec<_>>(), 0)
    }

    /// Goes on from what [`Self::values`] gave.
    pub fn resume((batches, pictures): (u32, u64), values: &Tensor, device: Device) -> Self {
        let loss = values.double_value(&[0]) as f32;
        let unread = values.slice(0, 1, None, 1).to_device(device).view([-1, 4]).unbind(0);
        Self { batches, pictures, loss, unread }
    }

    fn count(&mut self, batch: &[f32]) -> Items {
        self.loss += batch[0];
        [batch[1], batch[2], batch[3]]
    }
}

fn numbers(row: &Tensor) -> Vec<f32> {
    Vec::try_from(row).expect("a row of fp32")
}
