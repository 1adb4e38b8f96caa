//! Which pictures of an epoch make a batch, in which order the batches come, and how large each is.

use super::augment::{Augmentation, Sizes};
use super::random::epoch_order;
use super::{Size, Split, rect};

/// How a split is cut into batches.
pub enum Batching {
    /// Squares, of so many pictures, which are other ones in each epoch.
    Squares { batch: usize },
    /// Rectangles, of pictures that are always together.
    Rectangles { groups: Vec<Vec<usize>> },
}

/// A batch that is still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Samples of the split.
    pub indices: Vec<usize>,
    pub sizes: Sizes,
}

impl Batching {
    pub fn rectangles(split: &Split, batch: usize) -> Self {
        let sizes: Vec<_> = (0..split.len()).map(|index| split.size(index)).collect();
        Self::Rectangles { groups: rect::groups(&sizes, batch) }
    }

    /// Batches of an epoch over so many pictures.
    pub fn count(&self, pictures: usize) -> usize {
        match self {
            Self::Squares { batch } => pictures.div_ceil(*batch),
            Self::Rectangles { groups } => groups.len(),
        }
    }

    /// The batches of `epoch`, from 0, in their order.
    pub fn plan(&self, split: &Split, augmentation: &Augmentation, epoch: u32) -> Vec<Planned> {
        let batches = self.shuffled(split.len(), augmentation.seed, epoch).into_iter().enumerate();
        let plan = |(number, indices): (usize, Vec<usize>)| {
            let size = |side| self.size(split, &indices, side);
            let output = size(augmentation.side_of(epoch, number));
            let sizes = Sizes { frame: size(augmentation.side), output };
            Planned { indices, sizes }
        };
        batches.map(plan).collect()
    }

    fn shuffled(&self, pictures: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
        match self {
            Self::Squares { batch } => {
                epoch_order(seed, epoch, pictures).chunks(*batch).map(<[_]>::to_vec).collect()
            }
            Self::Rectangles { groups } => {
                let order = epoch_order(seed, epoch, groups.len());
                order.into_iter().map(|group| groups[group].clone()).collect()
            }
        }
    }

    /// Of the batch of `indices`, with a longer side of `side`.
    fn size(&self, split: &Split, indices: &[usize], side: u32) -> Size {
        match self {
            Self::Squares { .. } => Size::square(side),
            Self::Rectangles { .. } => {
                rect::rectangle(indices.iter().map(|index| split.size(*index)), side)
            }
        }
    }
}
