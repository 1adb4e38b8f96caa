//! Which of the ten models: graph, scale, number of classes. The numbers that set them apart are
//! `ybox_spec::architecture`'s, how layers are joined is `graph`'s.

use ybox_spec::architecture;
pub use ybox_spec::architecture::{Graph, Scale};

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

impl ModelSpec {
    /// The published graph of a name like `yolov12n` or `yolo12x`.
    pub fn parse(name: &str, nc: i64) -> Result<Self, SpecError> {
        if nc < 1 {
            return Err(SpecError::NoClasses(nc));
        }
        architecture::parse(name)
            .map(|(graph, scale)| Self::published(graph, scale, nc))
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
        architecture::name(self.graph, self.scale)
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
