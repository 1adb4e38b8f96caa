//! What the user asks of a plan, from `key=value` arguments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ybox_spec::config::{AttentionPath, Numerics};
use ybox_spec::overrides::{self, ConfigError, Schema};

use super::{Dtype, Variant};

/// Which devices to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// All GPUs if there are any, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// All GPUs.
    Cuda,
    /// GPUs by their index.
    Gpus(Vec<u32>),
    /// GPUs by the beginning of their UUID, such as `GPU-8932f937`.
    Uuids(Vec<String>),
}

impl Device {
    /// Whether a GPU is asked for.
    pub fn is_gpu(&self) -> bool {
        !matches!(self, Self::Auto | Self::Cpu)
    }
}

/// Wishes; what is left out, `plan` chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub variant: Option<Variant>,
    pub device: Device,
    /// `Auto` leaves it to `plan`.
    pub attention: AttentionPath,
    pub dtype: Option<Dtype>,
    pub numerics: Option<Numerics>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            variant: None,
            device: Device::Auto,
            attention: AttentionPath::Auto,
            dtype: None,
            numerics: None,
        }
    }
}

impl Request {
    /// From arguments such as `attention=flash`, `device=0,1`.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Self, ConfigError> {
        let keys: Keys = overrides::resolve(&[overrides::parse_arguments(arguments)?], &[])?;
        let attention = [AttentionPath::Flash, AttentionPath::Efficient, AttentionPath::Safe];
        let numerics = [Numerics::Portable, Numerics::Fast];
        Ok(Self {
            variant: choice("variant", &keys.variant, &Variant::ALL, Variant::name)?,
            device: device(&keys.device)?,
            attention: choice("attention", &keys.attention, &attention, AttentionPath::name)?
                .unwrap_or(AttentionPath::Auto),
            dtype: choice("dtype", &keys.dtype, &Dtype::ALL, Dtype::name)?,
            numerics: choice("numerics", &keys.numerics, &numerics, Numerics::name)?,
        })
    }
}

/// The keys as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Keys {
    variant: String,
    #[serde(deserialize_with = "ybox_spec::config::text")]
    device: String,
    attention: String,
    dtype: String,
    numerics: String,
}

impl Default for Keys {
    fn default() -> Self {
        let [variant, device, attention, dtype, numerics] = std::array::from_fn(|_| "auto".into());
        Self { variant, device, attention, dtype, numerics }
    }
}

impl Schema for Keys {
    /// Values are checked where they get their types.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// One of `values` by its name; none for `auto`.
fn choice<T: Copy>(
    key: &str,
    text: &str,
    values: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Option<T>, ConfigError> {
    if text == "auto" {
        return Ok(None);
    }
    let found = values.iter().copied().find(|value| name(*value) == text);
    found.map(Some).ok_or_else(|| {
        let names: Vec<_> = values.iter().map(|value| name(*value)).collect();
        ConfigError::Value {
            key: key.into(),
            reason: format!("`{text}` is not one of auto, {}", names.join(", ")),
        }
    })
}

fn device(text: &str) -> Result<Device, ConfigError> {
    text.parse().map_err(|reason| ConfigError::Value { key: "device".into(), reason })
}

impl FromStr for Device {
    type Err = String;

    /// `auto`, `cpu`, `cuda` or `all`, indexes such as `0`, `0,1`, `cuda:0,1`, or UUIDs.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" | "all" => return Ok(Self::Cuda),
            _ => {}
        }
        let list = text.split(',').map(str::trim);
        if list.clone().all(|item| item.starts_with("GPU-") && item.len() > 4) {
            return Ok(Self::Uuids(sorted(list.map(str::to_owned).collect())));
        }
        let indexes = list.map(|item| item.strip_prefix("cuda:").unwrap_or(item).parse());
        let gpus = indexes.collect::<Result<Vec<u32>, _>>().map_err(|_| {
            format!(
                "`{text}` is not one of auto, cpu, cuda, all, GPUs by index such as 0 or 0,1, or \
                 GPUs by UUID such as GPU-8932f937"
            )
        })?;
        Ok(Self::Gpus(sorted(gpus)))
    }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda => f.write_str("cuda"),
            Self::Gpus(indexes) => {
                let names: Vec<_> = indexes.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(","))
            }
            Self::Uuids(uuids) => f.write_str(&uuids.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(arguments: &[&str]) -> Result<Request, String> {
        Request::parse(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_every_key() {
        assert_eq!(request(&[]), Ok(Request::default()));
        assert_eq!(
            request(&[
                "variant=cuda13",
                "device=1,0",
                "attention=flash",
                "dtype=bf16",
                "numerics=fast"
            ]),
            Ok(Request {
                variant: Some(Variant::Cuda13),
                device: Device::Gpus(vec![0, 1]),
                attention: AttentionPath::Flash,
                dtype: Some(Dtype::Bf16),
                numerics: Some(Numerics::Fast),
            })
        );
        for (text, device) in [
            ("0", Device::Gpus(vec![0])),
            ("cuda:1", Device::Gpus(vec![1])),
            ("cuda", Device::Cuda),
            ("cpu", Device::Cpu),
            ("1,1", Device::Gpus(vec![1])),
            ("all", Device::Cuda),
            ("cuda:0,1", Device::Gpus(vec![0, 1])),
            ("cuda:0,cuda:1", Device::Gpus(vec![0, 1])),
            ("[0, 1]", Device::Gpus(vec![0, 1])),
            ("GPU-b,GPU-a", Device::Uuids(vec!["GPU-a".into(), "GPU-b".into()])),
        ] {
            assert_eq!(request(&[&format!("device={text}")]).unwrap().device, device);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let error = |argument: &str| request(&[argument]).unwrap_err();
        assert_eq!(error("atention=flash"), "unknown key `atention`: did you mean `attention`?");
        assert_eq!(
            error("attention=fast"),
            "attention: `fast` is not one of auto, flash, efficient, safe"
        );
        assert_eq!(error("dtype=fp8"), "dtype: `fp8` is not one of auto, fp32, fp16, bf16");
        assert!(error("device=gpu").starts_with("device: `gpu` is not one of auto, cpu, cuda"));
        for device in ["-1", "GPU-", "GPU-a,0", "0,,1", "[]", "cuda:"] {
            assert!(error(&format!("device={device}")).starts_with("device: "), "{device}");
        }
    }

    proptest! {
        #[test]
        fn a_device_s_spelling_reads_back(indexes in prop::collection::btree_set(0u32..64, 1..5)) {
            let device = Device::Gpus(indexes.into_iter().collect());
            prop_assert_eq!(device.to_string().parse(), Ok(device));
        }
    }
}
