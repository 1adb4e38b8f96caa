//! Decoded pictures kept in memory up to a budget: the first ones of a split that fit. What is not
//! kept is decoded again whenever it is needed; results never depend on it.

use std::sync::Arc;

use super::Picture;

/// Budget for which no one has to think about memory.
pub const DEFAULT_BYTES: u64 = 2 << 30;

pub struct PictureCache {
    pictures: Vec<Option<Arc<Picture>>>,
    left: u64,
    content: Content,
}

/// What a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    pub pictures: u64,
    pub bytes: u64,
    /// Bytes of all pictures that could be kept.
    pub wanted: u64,
}

impl PictureCache {
    /// Keeps at most `bytes` of pixels.
    pub fn new(bytes: u64) -> Self {
        Self { pictures: Vec::new(), left: bytes, content: Content::default() }
    }

    /// The next picture of the split.
    pub fn push(&mut self, picture: Picture) {
        let size = picture.pixels().len() as u64;
        self.content.wanted += size;
        let kept = self.left.checked_sub(size).map(|left| {
            self.left = left;
            self.content.pictures += 1;
            self.content.bytes += size;
            Arc::new(picture)
        });
        self.pictures.push(kept);
    }

    pub fn get(&self, index: usize) -> Option<Arc<Picture>> {
        self.pictures.get(index).cloned().flatten()
    }

    pub fn content(&self) -> Content {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_fits() {
        let mut cache = PictureCache::new(10);
        for width in [2, 2, 1] {
            cache.push(Picture::filled(width, 1, [0; 3]));
        }
        let kept: Vec<_> = (0..4).map(|i| cache.get(i).is_some()).collect();
        assert_eq!(kept, [true, false, true, false]);
        assert_eq!(cache.content(), Content { pictures: 2, bytes: 9, wanted: 15 });
    }
}
