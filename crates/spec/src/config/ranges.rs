//! What values may be: names of models, sides of pictures, ranges of numbers.

use serde::{Deserialize, Deserializer};

use crate::architecture;
use crate::overrides::ConfigError;

/// The names that `model=` takes.
pub fn model_names() -> impl Iterator<Item = String> {
    architecture::all().map(|(graph, scale)| architecture::name(graph, scale))
}

pub(super) fn check_model(model: &str) -> Result<(), ConfigError> {
    one_of("model", model, model_names())
}

/// Sides of pictures are multiples of the largest stride.
pub fn check_imgsz(imgsz: u32) -> Result<(), ConfigError> {
    within("imgsz", f64::from(imgsz), 32.0, 8192.0)?;
    if imgsz.is_multiple_of(32) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: "imgsz".into(),
        reason: format!("{imgsz} is not a multiple of the largest stride, 32"),
    })
}

pub(super) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.into(),
        reason: format!("{value} is outside {low} to {high}"),
    })
}

pub(super) fn above_zero(key: &str, value: f64, high: f64) -> Result<(), ConfigError> {
    if value > 0.0 && value <= high {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.into(),
        reason: format!("{value} is not above 0 and at most {high}"),
    })
}

pub(super) fn one_of(
    key: &str,
    value: &str,
    allowed: impl IntoIterator<Item = String>,
) -> Result<(), ConfigError> {
    let allowed: Vec<_> = allowed.into_iter().collect();
    if allowed.iter().any(|a| a == value) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: key.into(),
        reason: format!("`{value}` is not one of {}", allowed.join(", ")),
    })
}

/// Class indices: `classes=0` is `classes=[0]`.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "neither a class index nor a list of them")]
    enum Indices {
        One(u32),
        More(Vec<u32>),
    }
    Ok(match Indices::deserialize(deserializer)? {
        Indices::One(index) => vec![index],
        Indices::More(indices) => indices,
    })
}
