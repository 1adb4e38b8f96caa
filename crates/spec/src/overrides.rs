//! From defaults, preset files and `key=value` arguments to one typed, checked value. Which keys
//! exist and what they may hold is the schema's own matter (`config`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A set of keys with defaults and a check of the final values.
pub trait Schema: Default + Serialize + DeserializeOwned {
    fn check(&self) -> Result<(), ConfigError>;

    /// The keys that are not written where they have their defaults, which these are.
    fn unwritten() -> Values {
        Values::new()
    }
}

/// Why settings don't resolve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("`{argument}` is not of the form key=value")]
    Form { argument: String },
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey { key: String, nearest: Option<String> },
    #[error("{key}: {reason}")]
    Value { key: String, reason: String },
    #[error("not a table of settings: {reason}")]
    Document { reason: String },
}

/// Settings in the order in which they apply.
pub type Values = Map<String, Value>;

/// Parses `key=value` arguments; values are YAML scalars or flow collections.
pub fn parse_arguments<S: AsRef<str>>(arguments: &[S]) -> Result<Values, ConfigError> {
    arguments.iter().map(|a| parse_argument(a.as_ref())).collect()
}

fn parse_argument(argument: &str) -> Result<(String, Value), ConfigError> {
    let form = || ConfigError::Form { argument: argument.to_owned() };
    let (key, text) = argument.split_once('=').ok_or_else(form)?;
    if key.is_empty() {
        return Err(form());
    }
    let value = serde_yaml::from_str(text).map_err(|error| ConfigError::Value {
        key: key.to_owned(),
        reason: format!("`{text}` is not a value: {error}"),
    })?;
    Ok((key.to_owned(), value))
}

/// Parses a preset: a YAML mapping from keys to values.
pub fn parse_preset(yaml: &str) -> Result<Values, ConfigError> {
    serde_yaml::from_str(yaml).map_err(|error| ConfigError::Document { reason: error.to_string() })
}

/// The keys of `T`, in the order of its definition.
pub fn keys<T: Schema>() -> Vec<String> {
    defaults::<T>().keys().cloned().collect()
}

/// Every key of `T` with its default, in the same order.
pub fn defaults<T: Schema>() -> Values {
    fields(&T::default()).into_iter().chain(T::unwritten()).collect()
}

/// Splits `values` into those that `T` knows and the rest.
pub fn partition<T: Schema>(values: Values) -> (Values, Values) {
    let known = keys::<T>();
    values.into_iter().partition(|(key, _)| known.contains(key))
}

/// Applies `layers`, the later over the earlier, to the defaults of `T` and checks the outcome.
/// An unknown key is refused with the nearest one of `T`'s and of `also`, keys that the caller
/// takes elsewhere.
pub fn resolve<T: Schema>(layers: &[Values], also: &[String]) -> Result<T, ConfigError> {
    let mut current = defaults::<T>();
    for (key, value) in layers.iter().flatten() {
        if !current.contains_key(key) {
            return Err(unknown(key, current.keys().chain(also)));
        }
        current.insert(key.clone(), value.clone());
        // Reading the whole after each key is what ties a type error to its key.
        if let Err(error) = read::<T>(&current) {
            return Err(ConfigError::Value { key: key.clone(), reason: error.to_string() });
        }
    }
    let resolved =
        read::<T>(&current).map_err(|error| ConfigError::Document { reason: error.to_string() })?;
    resolved.check()?;
    Ok(resolved)
}

fn read<T: Schema>(values: &Values) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(values.clone()))
}

/// All settings of `value`.
pub fn fields(value: &impl Serialize) -> Values {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        other => unreachable!("a schema serialises to an object, not {other:?}"),
    }
}

fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = known
        .map(|name| (strsim::jaro_winkler(key, name), name))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.clone());
    ConfigError::UnknownKey { key: key.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Launch, TrainConfig};

    fn train(arguments: &[&str]) -> Result<TrainConfig, ConfigError> {
        resolve(&[parse_arguments(arguments)?], &keys::<Launch>())
    }

    #[test]
    fn later_layers_win() {
        let preset = parse_preset("epochs: 600\nscale: 0.9\n").unwrap();
        let arguments = parse_arguments(&["epochs=3", "box=5"]).unwrap();
        let config: TrainConfig = resolve(&[preset, arguments], &[]).unwrap();
        assert_eq!((config.epochs, config.scale, config.box_gain), (3, 0.9, 5.0));
    }

    #[test]
    fn names_the_nearest_key() {
        let message = train(&["epoch=3"]).unwrap_err().to_string();
        assert_eq!(message, "unknown key `epoch`: did you mean `epochs`?");
        let message = train(&["worker=3"]).unwrap_err().to_string();
        assert_eq!(message, "unknown key `worker`: did you mean `workers`?");
        assert_eq!(train(&["qqq=3"]).unwrap_err().to_string(), "unknown key `qqq`");
    }

    #[test]
    fn ties_a_type_error_to_its_key() {
        let error = train(&["batch=16", "epochs=many"]).unwrap_err();
        assert!(error.to_string().starts_with("epochs: invalid type"), "{error}");
        assert!(matches!(train(&["epochs"]), Err(ConfigError::Form { .. })));
        assert!(matches!(train(&["lr0=.nan"]), Err(ConfigError::Value { .. })));
    }

    #[test]
    fn one_class_is_a_list_of_one() {
        for (argument, expected) in [("classes=2", vec![2]), ("classes=[0, 2]", vec![0, 2])] {
            assert_eq!(train(&[argument]).unwrap().classes, expected);
        }
        let message = train(&["classes=cat"]).unwrap_err().to_string();
        assert_eq!(message, "classes: neither a class index nor a list of them");
    }

    #[test]
    fn a_flattened_key_is_a_key_like_any_other() {
        let config = train(&["conf=0.5", "attention=safe"]).unwrap();
        assert_eq!(config.nms.conf, 0.5);
        assert_eq!(config.compute.attention, crate::config::AttentionPath::Safe);
    }
}
