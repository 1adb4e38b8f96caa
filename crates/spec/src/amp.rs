//! Mixed precision in training: the key `amp`.

use serde::{Deserialize, Serialize};

/// What a training's forward pass computes in where that is safe; weights, loss and optimizer stay
/// in fp32. `auto` is settled before anything is hashed; a trainer never sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Given")]
pub enum Amp {
    Auto,
    /// fp32 throughout.
    Off,
    Bf16,
    /// Its range is small: the loss is scaled so that gradients stay within it.
    Fp16,
}

/// As users write it: also `True` and `False`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "not one of auto, off, bf16, fp16, True, False")]
enum Given {
    Switch(bool),
    Name(String),
}

impl TryFrom<Given> for Amp {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        match given {
            Given::Switch(true) => Ok(Self::Auto),
            Given::Switch(false) => Ok(Self::Off),
            Given::Name(name) => Self::named(&name),
        }
    }
}

impl Amp {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        let known = [Self::Auto, Self::Off, Self::Bf16, Self::Fp16];
        let found = known.into_iter().find(|amp| amp.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of auto, off, bf16, fp16, True, False"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::overrides::{parse_arguments, resolve};

    fn amp(argument: &str) -> Result<Amp, String> {
        let given = parse_arguments(&[argument]).unwrap();
        let config: Result<TrainConfig, _> = resolve(&[given], &[]);
        config.map(|config| config.amp).map_err(|error| error.to_string())
    }

    #[test]
    fn is_a_name_or_a_switch() {
        for (argument, expected) in [
            ("amp=auto", Amp::Auto),
            ("amp=True", Amp::Auto),
            ("amp=False", Amp::Off),
            ("amp=off", Amp::Off),
            ("amp=bf16", Amp::Bf16),
            ("amp=fp16", Amp::Fp16),
        ] {
            assert_eq!(amp(argument), Ok(expected), "{argument}");
        }
    }

    #[test]
    fn is_written_by_name_and_read_back() {
        for amp in [Amp::Auto, Amp::Off, Amp::Bf16, Amp::Fp16] {
            let yaml = serde_yaml::to_string(&amp).unwrap();
            assert_eq!(yaml.trim().trim_matches('\''), amp.name());
            assert_eq!(serde_yaml::from_str::<Amp>(&yaml).unwrap(), amp);
        }
    }

    #[test]
    fn other_values_are_refused_by_the_name_of_the_key() {
        let names = "not one of auto, off, bf16, fp16, True, False";
        assert_eq!(amp("amp=half").unwrap_err(), format!("amp: `half` is {names}"));
        assert_eq!(amp("amp=2").unwrap_err(), format!("amp: {names}"));
    }
}
