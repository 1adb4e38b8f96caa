//! Which tensors a forward pass keeps for backward, worked out from shapes alone: each operation
//! notes what libtorch's own gradient formula keeps, by storage, so that views count once.

use std::collections::BTreeMap;

/// Bytes of a number in fp32.
pub const FULL: u64 = 4;

/// A map of one picture, `[C, H, W]`.
#[derive(Debug, Clone, Copy)]
pub struct Map {
    storage: usize,
    /// Of the whole storage, which a view shares.
    bytes: u64,
    pub channels: u64,
    pub height: u64,
    pub width: u64,
    /// Of one number.
    pub size: u64,
}

impl Map {
    pub fn bytes(&self) -> u64 {
        self.channels * self.cells() * self.size
    }

    pub fn cells(&self) -> u64 {
        self.height * self.width
    }
}

/// What a convolution is like.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    pub side: u64,
    pub stride: u64,
    pub groups: u64,
}

impl Kernel {
    pub const POINT: Self = Self::of(1);

    pub const fn of(side: u64) -> Self {
        Self { side, stride: 1, groups: 1 }
    }
}

/// Of one picture.
#[derive(Debug, Default)]
pub struct Tape {
    /// Bytes of a number in what is cast: 2 in mixed precision, else 4.
    size: u64,
    storages: usize,
    /// Bytes of the storages that are kept.
    kept: BTreeMap<usize, u64>,
    /// Bytes that are kept whatever the batch: casts of weights, statistics.
    pub fixed: u64,
    /// Numbers in parameters.
    pub parameters: u64,
}

/// A point on a tape.
pub struct Mark {
    kept: BTreeMap<usize, u64>,
    fixed: u64,
}

impl Tape {
    pub fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    /// Numbers of what convolutions give.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn fresh(&mut self, [channels, height, width]: [u64; 3], size: u64) -> Map {
        self.storages += 1;
        let bytes = channels * height * width * size;
        Map { storage: self.storages, bytes, channels, height, width, size }
    }

    /// Pictures in fp32, which are there anyway: keeping them costs nothing.
    pub fn pictures(&mut self, side: u64) -> Map {
        let shape = [3, side, side];
        Map { size: FULL, ..self.fresh(shape, 0) }
    }

    pub fn keep(&mut self, map: Map) {
        self.kept.insert(map.storage, map.bytes);
    }

    /// Bytes that are kept for each picture.
    pub fn kept(&self) -> u64 {
        self.kept.values().sum()
    }

    /// Where a checkpoint begins.
    pub fn mark(&self) -> Mark {
        Mark { kept: self.kept.clone(), fixed: self.fixed }
    }

    /// Ends a checkpoint: of what came since `begin` only its `inputs` are kept. Gives the bytes that
    /// it keeps besides when it runs again.
    pub fn close(&mut self, begin: Mark, inputs: &[Map]) -> u64 {
        inputs.iter().for_each(|input| self.keep(*input));
        let within = self.kept();
        (self.kept, self.fixed) = (begin.kept, begin.fixed);
        inputs.iter().for_each(|input| self.keep(*input));
        within - self.kept()
    }

    /// A part of the channels.
    pub fn view(&self, map: Map, channels: u64) -> Map {
        Map { channels, ..map }
    }

    /// As mixed precision gives it to a convolution.
    fn cast(&mut self, map: Map) -> Map {
        if map.size == self.size {
            return map;
        }
        self.fresh([map.channels, map.height, map.width], self.size)
    }

    fn weights(&mut self, count: u64) {
        self.parameters += count;
        if self.size != FULL {
            self.fixed += count * self.size;
        }
    }

    /// Convolution and normalisation, with SiLU or without: kept are the input and what comes out of
    /// the convolution; what follows is computed again.
    pub fn conv(&mut self, x: Map, channels: u64, kernel: Kernel) -> Map {
        let x = self.cast(x);
        self.keep(x);
        self.weights(channels * x.channels / kernel.groups * kernel.side * kernel.side);
        self.parameters += 2 * channels;
        // Mean and deviation of the batch.
        self.fixed += 2 * channels * FULL;
        let shape = [channels, x.height.div_ceil(kernel.stride), x.width.div_ceil(kernel.stride)];
        let convolved = self.fresh(shape, self.size);
        self.keep(convolved);
        self.fresh(shape, self.size)
    }

    /// A 1x1 convolution with bias alone.
    pub fn biased(&mut self, x: Map, channels: u64) -> Map {
        let x = self.cast(x);
        self.keep(x);
        self.weights(channels * x.channels);
        self.weights(channels);
        self.fresh([channels, x.height, x.width], self.size)
    }

    /// A sum keeps nothing.
    pub fn add(&mut self, a: Map, b: Map) -> Map {
        self.fresh([a.channels, a.height, a.width], a.size.max(b.size))
    }

    /// Joining along the channels keeps nothing.
    pub fn cat(&mut self, maps: &[Map]) -> Map {
        let channels = maps.iter().map(|map| map.channels).sum();
        let size = maps.iter().map(|map| map.size).max().unwrap_or(self.size);
        let [height, width] = maps.first().map_or([0, 0], |map| [map.height, map.width]);
        self.fresh([channels, height, width], size)
    }

    pub fn upsample(&mut self, map: Map) -> Map {
        self.fresh([map.channels, 2 * map.height, 2 * map.width], map.size)
    }

    /// A learned factor for each channel, in fp32: kept is what it multiplies.
    pub fn scaled(&mut self, map: Map) -> Map {
        self.keep(map);
        self.parameters += map.channels;
        self.fresh([map.channels, map.height, map.width], FULL)
    }
}
