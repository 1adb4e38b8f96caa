//! Which parts of the model keep nothing but their inputs in training and run again in backward.
//! How that is done is `torch_ext::checkpoint`'s. It changes memory and time, not one bit: no part
//! reads a map more than once that something after it reads too. (Maps of a single cell are the
//! exception, see `Yolo12::checkpointing_at`.)

use std::ops::Deref;
use std::sync::Arc;

use tch::Tensor;
use torch_ext::Pass;

use super::Mode;

/// A part of the model that the autograd graph can hold on to.
#[derive(Debug)]
pub(super) struct Shared<T>(Arc<T>);

// SAFETY: a part is tensors and numbers. tch's tensors are Send, and their reference counts are
// atomic; what keeps tch from making them Sync is that they can be written through a shared
// reference, and the thread that writes parameters waits while backward runs parts elsewhere.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(part: T) -> Self {
        Self(Arc::new(part))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + 'static> Shared<T> {
    /// What `forward` gives for `inputs` in training, keeping only those.
    pub fn checkpointed(
        &self,
        inputs: &[&Tensor],
        forward: impl Fn(&T, &[Tensor], Mode) -> Tensor + Send + 'static,
    ) -> Tensor {
        let part = Self(Arc::clone(&self.0));
        let output = torch_ext::checkpoint(inputs, move |inputs, pass| match pass {
            Pass::First => forward(&part, inputs, Mode::Train),
            Pass::Again => forward(&part, inputs, Mode::Recompute),
        });
        output.expect("a part of the model gives a new tensor")
    }
}
