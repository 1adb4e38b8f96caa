//! What sets the ten models apart: their names and the numbers behind them. How layers are joined
//! stands where they are built, in the trainer, and where they are counted, in `footprint`.

/// Channels of an attention head, in every model.
pub const HEAD_DIM: u32 = 32;
/// Bins of the distribution over a side's distance (Li et al., "Generalized Focal Loss", 2020).
pub const DFL_BINS: u32 = 16;
/// Leading channels of a raw map: four sides (left, top, right, bottom) of [`DFL_BINS`] logits.
pub const BOX_CHANNELS: u32 = 4 * DFL_BINS;

/// Parameters of the published models with 80 classes, the 16 bins of the head among them, which are
/// not trained.
pub const PUBLISHED_PARAMETERS: [(&str, u64); 10] = [
    ("yolov12n", 2_553_904),
    ("yolov12s", 9_127_424),
    ("yolov12m", 19_670_784),
    ("yolov12l", 26_506_496),
    ("yolov12x", 59_414_176),
    ("yolo12n", 2_602_288),
    ("yolo12s", 9_284_096),
    ("yolo12m", 20_199_168),
    ("yolo12l", 26_450_784),
    ("yolo12x", 59_210_784),
];

/// The published graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Graph {
    /// `yolov12`: separate projections for q, k and v, a 5x5 positional convolution, grouped
    /// convolutions before P2 and P3.
    Turbo,
    /// `yolo12`, v1.0: one projection for q, k and v, a 7x7 positional convolution.
    V1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    N,
    S,
    M,
    L,
    X,
}

/// Every model.
pub fn all() -> impl Iterator<Item = (Graph, Scale)> {
    Graph::ALL.into_iter().flat_map(|graph| Scale::ALL.map(|scale| (graph, scale)))
}

/// The model of a name like `yolov12n` or `yolo12x`.
pub fn parse(name: &str) -> Option<(Graph, Scale)> {
    all().find(|(graph, scale)| self::name(*graph, *scale) == name)
}

/// The inverse of [`parse`].
pub fn name(graph: Graph, scale: Scale) -> String {
    format!("{}{}", graph.name(), scale.letter())
}

impl Graph {
    pub const ALL: [Self; 2] = [Self::Turbo, Self::V1];

    /// A model's name without the letter of its scale.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turbo => "yolov12",
            Self::V1 => "yolo12",
        }
    }

    /// Groups of the convolutions that lead to P2 and to P3.
    pub fn stem_groups(self) -> [u32; 2] {
        match self {
            Self::Turbo => [2, 4],
            Self::V1 => [1, 1],
        }
    }
}

impl Scale {
    pub const ALL: [Self; 5] = [Self::N, Self::S, Self::M, Self::L, Self::X];

    pub fn letter(self) -> char {
        match self {
            Self::N => 'n',
            Self::S => 's',
            Self::M => 'm',
            Self::L => 'l',
            Self::X => 'x',
        }
    }

    /// Channels of the levels P1 to P5.
    pub fn channels(self) -> [u32; 5] {
        match self {
            Self::N => [16, 32, 64, 128, 256],
            Self::S => [32, 64, 128, 256, 512],
            Self::M | Self::L => [64, 128, 256, 512, 512],
            Self::X => [96, 192, 384, 768, 768],
        }
    }

    /// Inner modules of a C3k2 and of an A2C2f without attention; one with attention has twice as
    /// many.
    pub fn depth(self) -> usize {
        if self.is_large() { 2 } else { 1 }
    }

    /// The backbone's C3k2 use C3k, not a Bottleneck.
    pub fn backbone_c3k(self) -> bool {
        !matches!(self, Self::N | Self::S)
    }

    /// The large models, l and x, are deeper, with a narrower MLP.
    pub fn is_large(self) -> bool {
        matches!(self, Self::L | Self::X)
    }

    /// Hidden width of an attention block's MLP, as a multiple of its width.
    pub fn mlp_ratio(self, graph: Graph) -> f64 {
        match (self.is_large(), graph) {
            (false, _) => 2.0,
            (true, Graph::Turbo) => 1.5,
            (true, Graph::V1) => 1.2,
        }
    }

    /// Widths of the head's branches for boxes and for so many classes, on every level.
    pub fn head_widths(self, classes: u64) -> [u64; 2] {
        let first = self.channels()[2];
        [(first / 4).max(BOX_CHANNELS).into(), u64::from(first).max(classes.min(100))]
    }
}
