//! Which of the ten models: graph, scale, number of classes; and the numbers that set the scales
//! apart. How layers are joined is `graph`'s.

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

/// A model before it has weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelSpec {
    pub graph: Graph,
    pub scale: Scale,
    /// Number of classes, at least 1.
    pub nc: i64,
    /// Attention layers are added to their input, scaled by a learned gamma: in the published graphs
    /// those of l and x.
    pub residual_scaling: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("`{0}` is not a model: use yolov12 or yolo12 followed by one of n, s, m, l, x")]
    UnknownModel(String),
    #[error("a model needs at least one class, not {0}")]
    NoClasses(i64),
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
    pub(super) fn stem_groups(self) -> [i64; 2] {
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
    pub(super) fn channels(self) -> [i64; 5] {
        match self {
            Self::N => [16, 32, 64, 128, 256],
            Self::S => [32, 64, 128, 256, 512],
            Self::M | Self::L => [64, 128, 256, 512, 512],
            Self::X => [96, 192, 384, 768, 768],
        }
    }

    /// Inner modules of a C3k2 and of an A2C2f without attention; one with attention has twice as
    /// many.
    pub(super) fn depth(self) -> usize {
        if self.is_large() { 2 } else { 1 }
    }

    /// The backbone's C3k2 use C3k, not a Bottleneck.
    pub(super) fn backbone_c3k(self) -> bool {
        !matches!(self, Self::N | Self::S)
    }

    /// The large models, l and x, are deeper.
    fn is_large(self) -> bool {
        matches!(self, Self::L | Self::X)
    }
}

impl ModelSpec {
    /// The published graph of a name like `yolov12n` or `yolo12x`.
    pub fn parse(name: &str, nc: i64) -> Result<Self, SpecError> {
        if nc < 1 {
            return Err(SpecError::NoClasses(nc));
        }
        Graph::ALL
            .into_iter()
            .flat_map(|graph| Scale::ALL.map(|scale| Self::published(graph, scale, nc)))
            .find(|spec| spec.name() == name)
            .ok_or_else(|| SpecError::UnknownModel(name.to_owned()))
    }

    pub fn published(graph: Graph, scale: Scale, nc: i64) -> Self {
        Self { graph, scale, nc, residual_scaling: scale.is_large() }
    }

    /// The same graph with its residuals scaled.
    pub fn with_residual_scaling(self) -> Self {
        Self { residual_scaling: true, ..self }
    }

    /// The graph of the same name that a state dict with these names of tensors is of.
    pub fn that_has<'a>(self, mut names: impl Iterator<Item = &'a str>) -> Self {
        Self { residual_scaling: names.any(|name| name.ends_with(".gamma")), ..self }
    }

    /// The inverse of [`ModelSpec::parse`].
    pub fn name(&self) -> String {
        format!("{}{}", self.graph.name(), self.scale.letter())
    }

    /// Hidden width of an attention block's MLP, as a multiple of its width.
    pub(super) fn mlp_ratio(&self) -> f64 {
        match (self.scale.is_large(), self.graph) {
            (false, _) => 2.0,
            (true, Graph::Turbo) => 1.5,
            (true, Graph::V1) => 1.2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_exactly_the_names_of_the_config() {
        for name in ybox_spec::config::model_names() {
            assert_eq!(ModelSpec::parse(&name, 80).unwrap().name(), name);
        }
        for name in ["yolov12", "yolov12n.yaml", "yolo11n", "YOLO12n", ""] {
            assert_eq!(ModelSpec::parse(name, 80), Err(SpecError::UnknownModel(name.into())));
        }
        assert_eq!(ModelSpec::parse("yolo12n", 0), Err(SpecError::NoClasses(0)));
    }

    #[test]
    fn only_the_large_published_graphs_scale_residuals() {
        for scale in Scale::ALL {
            let spec = ModelSpec::published(Graph::V1, scale, 1);
            assert_eq!(spec.residual_scaling, matches!(scale, Scale::L | Scale::X));
        }
    }
}
