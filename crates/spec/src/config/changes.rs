//! Two configs, key by key.

use serde::Serialize;
use serde_json::Value;

use super::{Compute, Config};
use crate::overrides::fields;

/// A key that two configs hold different values at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyChange {
    pub key: String,
    /// `None` where a config has no such key, as of another task.
    pub a: Option<Value>,
    pub b: Option<Value>,
}

impl KeyChange {
    /// Whether the key is one of [`Compute`].
    pub fn is_compute(&self) -> bool {
        let compute = fields(&Compute::default());
        compute.contains_key(&self.key) || Compute::unwritten().contains_key(&self.key)
    }
}

impl Config {
    /// The keys that differ, in the order of this config, then those that only `other` has.
    pub fn changes(&self, other: &Self) -> Vec<KeyChange> {
        let (a, b) = (fields(self), fields(other));
        let only_there = b.keys().filter(|key| !a.contains_key(*key));
        a.keys()
            .chain(only_there)
            .filter(|key| a.get(*key) != b.get(*key))
            .map(|key| KeyChange {
                key: key.clone(),
                a: a.get(key).cloned(),
                b: b.get(key).cloned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AttentionPath, TrainConfig, ValConfig};

    #[test]
    fn names_each_key_with_both_values() {
        let config = TrainConfig::default();
        let compute = Compute { attention: AttentionPath::Safe, ..config.compute.clone() };
        let other = TrainConfig { lr0: 0.02, compute, ..config.clone() };
        let (a, b) = (Config::Train(config), Config::Train(other));
        assert_eq!(a.changes(&a), []);
        let changes = a.changes(&b);
        let keys: Vec<_> = changes.iter().map(|c| (c.key.as_str(), c.is_compute())).collect();
        assert_eq!(keys, [("lr0", false), ("attention", true)]);
        assert_eq!((&changes[0].a, &changes[0].b), (&Some(0.01.into()), &Some(0.02.into())));
    }

    #[test]
    fn keys_of_another_task_are_on_one_side_only() {
        let (a, b) = (Config::Train(TrainConfig::default()), Config::Val(ValConfig::default()));
        let changes = a.changes(&b);
        let of = |key: &str| changes.iter().find(|c| c.key == key).unwrap();
        assert_eq!(of("task").b, Some("val".into()));
        assert!(of("lr0").b.is_none() && of("split").a.is_none());
    }
}
