//! What a training takes of a GPU's memory, from the model's shapes alone: ybox plans with it for
//! hardware that is not there. A test of the trainer compares it with what libtorch takes.

mod network;
mod tape;

pub use network::{Kept, Network};
pub use tape::FULL;

use crate::config::Checkpointing;

/// Numbers that a training holds for each parameter, in fp32: the weight, its gradient, AdamW's two
/// moments, the moving average, and the model that the average is measured with.
const STATE: u64 = 6;

/// What a GPU holds beside tensors: CUDA's context and the code of the libraries, and the workspaces
/// of cuBLAS and cuDNN. Not verified on hardware.
const OVERHEAD: u64 = 900 << 20;
/// Share of the rest that tensors fill: the caching allocator leaves gaps. Not verified on hardware.
const FILLED: f64 = 0.92;

/// What a training step takes, in bytes of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Whatever the batch.
    pub fixed: u64,
    pub per_picture: u64,
}

impl Needs {
    /// Of a step of `network` on pictures of `side` x `side` in numbers of `size` bytes.
    pub fn of(network: &Network, side: u64, size: u64, policy: Checkpointing) -> Self {
        let kept = network.kept(side, size, policy);
        let pictures = 3 * side * side * FULL;
        // The loss holds its own form of the raw maps, as much again for the gradient, and what
        // follows from the class logits.
        let in_loss = kept.per_picture + 2 * kept.raw_full + kept.class_logits;
        let again = match policy {
            Checkpointing::None | Checkpointing::Attention => 0,
            Checkpointing::Layer | Checkpointing::LayerHead => kept.again,
        };
        Self {
            fixed: kept.fixed + STATE * FULL * kept.parameters,
            per_picture: pictures + in_loss.max(again),
        }
    }

    pub fn peak(&self, batch: u64) -> u64 {
        self.fixed + self.per_picture * batch
    }

    /// The largest batch that takes at most `bytes`; 0 where none does.
    pub fn largest_batch(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.fixed) / self.per_picture.max(1)
    }
}

/// Bytes that tensors may take on a GPU with `total` bytes.
pub fn usable(total: u64) -> u64 {
    (total.saturating_sub(OVERHEAD) as f64 * FILLED) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::PUBLISHED_PARAMETERS;
    use crate::config::AttentionPath;

    #[test]
    fn the_published_counts_of_parameters_come_out() {
        // Published counts hold the 16 bins of the head, and no residual scaling but for l and x.
        for (name, published) in PUBLISHED_PARAMETERS {
            let large = name.ends_with(['l', 'x']);
            let mut network = Network::parse(name, 80, AttentionPath::Flash).expect("a model");
            network.residual_scaling = large;
            let kept = network.kept(64, FULL, Checkpointing::None);
            assert_eq!(kept.parameters + 16, published, "{name}");
        }
        for name in ["yolov12", "yolov12z", "yolo11n", ""] {
            assert_eq!(Network::parse(name, 80, AttentionPath::Flash), None);
        }
    }

    #[test]
    fn stronger_policies_need_less_and_half_the_size_about_half() {
        let network = Network::parse("yolov12n", 80, AttentionPath::Flash).expect("a model");
        let needs = |size, policy| Needs::of(&network, 640, size, policy);
        let per_picture = Checkpointing::ALL.map(|policy| needs(2, policy).per_picture);
        assert!(per_picture.is_sorted_by(|a, b| a >= b), "{per_picture:?}");
        assert!(per_picture[3] < per_picture[0] / 2, "{per_picture:?}");
        let (half, full) = (needs(2, Checkpointing::None), needs(4, Checkpointing::None));
        assert!(half.per_picture * 10 < full.per_picture * 7);
        assert_eq!(half.largest_batch(half.peak(31)), 31);
        assert_eq!(half.largest_batch(0), 0);
    }
}
