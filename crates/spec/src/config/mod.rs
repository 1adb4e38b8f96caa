//! The configuration schema of the tasks, its defaults, ranges and hash. A resolved config
//! holds everything that may change a result and nothing that may not: where files lie, how many
//! loader threads run and what the run is called are [`Launch`] settings and are not hashed.

mod cache;
mod cadence;
mod changes;
mod checkpointing;
mod compute;
mod inference;
mod launch;
mod ranges;
mod train;

use serde::{Deserialize, Serialize};

use crate::{Digest, canonical};

pub use cache::CacheChoice;
pub use cadence::CheckpointEvery;
pub use changes::KeyChange;
pub use checkpointing::{AutoCheckpointing, Checkpointing};
pub use compute::{AttentionPath, Compute, CublasWorkspace, Numerics};
pub use inference::{ExportConfig, ExportFormat, Nms, PredictConfig, ValConfig};
pub use launch::{Launch, PeerAccess, text};
pub use ranges::{check_imgsz, model_names};
pub use train::{Compat, Freeze, LAST_LAYER, OptimizerChoice, SINGLE_CLASS, TrainConfig};

/// Domain of the config hash. A change to the meaning of any key forces a new version.
pub const CONFIG_DOMAIN: &str = "ybox.config.v1";

/// A resolved configuration, tagged by its task. This is what `config.yaml` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there is one of them in a program")]
pub enum Config {
    Train(TrainConfig),
    Val(ValConfig),
    Predict(PredictConfig),
    Export(ExportConfig),
}

impl Config {
    /// An export has no settings of its own here: it rewrites numbers in a fixed order, into a graph
    /// whose attention is the plain one.
    pub const EXPORT_COMPUTE: Compute = Compute {
        attention: AttentionPath::Safe,
        numerics: Numerics::Portable,
        threads: 1,
        cublas_workspace: CublasWorkspace::Large,
    };

    pub fn digest(&self) -> Digest {
        canonical::digest(CONFIG_DOMAIN, self)
    }

    pub fn task(&self) -> Task {
        match self {
            Self::Train(_) => Task::Train,
            Self::Val(_) => Task::Val,
            Self::Predict(_) => Task::Predict,
            Self::Export(_) => Task::Export,
        }
    }

    pub fn attention(&self) -> AttentionPath {
        self.compute().attention
    }

    pub fn compute(&self) -> &Compute {
        match self {
            Self::Train(c) => &c.compute,
            Self::Val(c) => &c.compute,
            Self::Predict(c) => &c.compute,
            Self::Export(_) => &Self::EXPORT_COMPUTE,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Train,
    Val,
    Predict,
    Export,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Predict => "predict",
            Self::Export => "export",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overrides::Schema;

    #[test]
    fn survives_yaml_and_keeps_its_hash() {
        let config = Config::Train(TrainConfig::default());
        let yaml = serde_yaml::to_string(&config).unwrap();
        let back: Config = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!(back, config);
        assert_eq!(back.digest(), config.digest());
    }

    #[test]
    fn the_workspace_of_cublas_is_hashed_where_it_is_not_the_default() {
        let resolved = |value: &str| {
            let argument = format!("cublas_workspace={value}");
            let values = crate::overrides::parse_arguments(&[argument])?;
            crate::overrides::resolve(&[values], &[]).map(Config::Train)
        };
        let (large, small) = (resolved(":4096:8").unwrap(), resolved(":16:8").unwrap());
        assert_eq!(large, Config::Train(TrainConfig::default()));
        assert!(!serde_yaml::to_string(&large).unwrap().contains(CublasWorkspace::KEY));
        let yaml = serde_yaml::to_string(&small).unwrap();
        assert_eq!(serde_yaml::from_str::<Config>(&yaml).unwrap(), small);
        assert_ne!(small.digest(), large.digest());
        assert!(large.changes(&small)[0].is_compute());
        let refused = resolved(":8:8").unwrap_err().to_string();
        let expected = "cublas_workspace: with `:8:8` cuBLAS may give other bits each time: use \
                        :4096:8 or :16:8";
        assert_eq!(refused, expected);
    }

    /// Keys are found by writing the defaults: one that is left out there would be refused.
    #[test]
    fn settings_without_a_default_are_keys_too() {
        let keys = crate::overrides::keys::<Launch>();
        for key in ["data", "weights", "source", "memory", "project"] {
            assert!(keys.iter().any(|k| k == key), "{key}");
        }
    }

    #[test]
    fn a_key_that_came_later_is_hashed_only_where_it_is_set() {
        use crate::overrides::{fields, keys, parse_arguments, resolve};
        let train = |argument| {
            let values = parse_arguments(&[argument]).unwrap();
            Config::Train(resolve::<TrainConfig>(&[values], &[]).unwrap())
        };
        let (off, on) = (train("rect=false"), train("rect=true"));
        assert_eq!(off.digest(), Config::Train(TrainConfig::default()).digest());
        assert!(!fields(&off).contains_key("rect") && off.digest() != on.digest());
        let text = serde_yaml::to_string(&on).unwrap();
        assert_eq!(serde_yaml::from_str::<Config>(&text).unwrap(), on);
        assert!(keys::<TrainConfig>().contains(&"rect".to_owned()));
        let changes = off.changes(&on);
        assert_eq!((changes.len(), changes[0].key.as_str()), (1, "rect"));
        assert_eq!((&changes[0].a, &changes[0].b), (&None, &Some(true.into())));
    }

    #[test]
    fn every_default_is_within_its_range() {
        TrainConfig::default().check().unwrap();
        ValConfig::default().check().unwrap();
        PredictConfig::default().check().unwrap();
        ExportConfig::default().check().unwrap();
        Launch::default().check().unwrap();
    }

    #[test]
    fn layers_are_frozen_by_number_or_by_list_but_never_all() {
        let freeze = |yaml: &str| {
            let values = crate::overrides::parse_preset(yaml)?;
            crate::overrides::resolve(&[values], &[]).map(|config: TrainConfig| config.freeze)
        };
        assert_eq!(freeze("freeze: 2"), Ok(Freeze::First(2)));
        let listed = freeze("freeze: [0, 21]").unwrap();
        assert_eq!([0, 1, 21].map(|layer| listed.covers(layer)), [true, false, true]);
        assert_eq!(freeze("freeze: 22").unwrap_err().to_string(), "freeze: 22 is outside 0 to 21");
        let all = serde_yaml::to_string(&(0..=LAST_LAYER).collect::<Vec<_>>()).unwrap();
        let error = freeze(&format!("freeze:\n{all}")).unwrap_err().to_string();
        assert!(error.starts_with("freeze: every layer is frozen"), "{error}");
    }

    #[test]
    fn a_number_that_has_to_be_above_zero_is_refused_in_a_short_sentence() {
        let train = TrainConfig::default();
        let time = Launch { time: Some(0.0), ..Default::default() };
        for (refused, expected) in [
            (time.check(), "time: 0 is not above 0 and at most 1000000"),
            (
                TrainConfig { fraction: 0.0, ..train.clone() }.check(),
                "fraction: 0 is not above 0 and at most 1",
            ),
            (
                TrainConfig { max_grad_norm: -1.0, ..train.clone() }.check(),
                "max_grad_norm: -1 is not above 0 and at most 1000000000",
            ),
            (
                TrainConfig { ema_tau: f64::NAN, ..train }.check(),
                "ema_tau: NaN is not above 0 and at most 1000000000",
            ),
        ] {
            assert_eq!(refused.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn refuses_values_out_of_range_by_name() {
        let config = TrainConfig { imgsz: 300, ..Default::default() };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "imgsz: 300 is not a multiple of the largest stride, 32"
        );
        let config = TrainConfig { fliplr: 2.0, ..Default::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "fliplr: 2 is outside 0 to 1");
        let config = TrainConfig { seed: 1 << 53, ..Default::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("seed: 9007199254740992 is"));
        let config = TrainConfig { model: "yolo11n".into(), ..Default::default() };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("model: `yolo11n` is not one of yolov12n")
        );
    }
}
