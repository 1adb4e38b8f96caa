//! Facts made by hand, to plan for hardware that isn't here: `T4`, `gpu=A100+T4,driver=580.82.07`,
//! `cpu,isa=sse4_2`. What isn't given is marked as pretended or unknown, never taken from this
//! machine.

use super::tables::{KnownGpu, Tables};
use crate::probe::facts::{Cpu, Driver, Engines, Gpu, Memory, PciDevice, SCHEMA, System};
use crate::probe::version::{DriverVersion, VersionError};
use crate::probe::{Fact, Facts, INSTRUCTION_SETS};
use crate::ui::Explain;

const KEYS: [&str; 5] = ["gpu", "driver", "arch", "isa", "platform"];
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];
const PLATFORMS: [&str; 2] = ["linux", "wsl"];
/// What a pretended CPU can do unless it is said: any x86-64 CPU of the last ten years.
const USUAL_SETS: [&str; 7] = ["sse4_1", "sse4_2", "avx", "f16c", "fma", "bmi2", "avx2"];
/// More in one machine is a slip of the keyboard.
const MOST_GPUS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PretendError {
    #[error("nothing to pretend: the value is empty")]
    Empty,
    #[error("can't pretend `{name}`: no such GPU in the table")]
    UnknownGpu { name: String, nearest: Option<String> },
    #[error("can't pretend {count} GPUs: {MOST_GPUS} at most")]
    TooMany { count: usize },
    #[error("can't pretend `{key}`: the keys are {}", KEYS.join(", "))]
    UnknownKey { key: String },
    #[error("can't pretend `{key}` twice")]
    Twice { key: String },
    #[error("can't pretend {key}=`{value}`: {reason}")]
    Value { key: &'static str, value: String, reason: String },
}

impl Explain for PretendError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownGpu { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Twice { .. } | Self::TooMany { .. } => return None,
            _ => {
                "for example T4, or gpu=A100+T4,driver=580.82.07, or cpu, or a file of facts".into()
            }
        };
        Some(text)
    }
}

/// Facts from a specification.
pub fn pretend(specification: &str, tables: &Tables) -> Result<Facts, PretendError> {
    let given = Given::parse(specification)?;
    let gpus = given.gpu.map_or(Ok(Vec::new()), |names| self::gpus(&names, tables))?;
    let sets = given.isa.map_or(Ok(USUAL_SETS.map(String::from).to_vec()), |s| self::sets(&s))?;
    let architecture = match given.arch {
        Some(text) => one_of("arch", &text, &ARCHITECTURES)?,
        None => gpus.iter().find_map(|gpu| gpu.host).unwrap_or("x86_64").to_owned(),
    };
    let platform = given.platform.unwrap_or_else(|| "linux".into());
    let wsl = one_of("platform", &platform, &PLATFORMS)? == "wsl";
    let driver = driver(given.driver.as_deref(), &gpus, tables)?;
    let shown = driver.known().is_some();
    Ok(Facts {
        schema: SCHEMA.into(),
        pretended: Some(specification.to_owned()),
        cpu: cpu(architecture, sets),
        memory: Memory { total: unsaid(), limit: unsaid() },
        system: System { name: unsaid(), kernel: unsaid(), glibc: unsaid(), wsl: Fact::Is(wsl) },
        driver,
        apart: Vec::new(),
        barred_nodes: Vec::new(),
        nvidia_devices: Fact::Is((0..gpus.len()).map(device).collect()),
        gpus: Fact::Is(if shown { gpus.iter().enumerate().map(gpu).collect() } else { Vec::new() }),
        engines: Engines { docker: unsaid(), podman: unsaid(), bubblewrap: unsaid() },
        container_toolkit: unsaid(),
    })
}

fn unsaid<T>() -> Fact<T> {
    Fact::unknown("pretended")
}

/// The values of a specification, by key.
#[derive(Debug, Default)]
struct Given {
    gpu: Option<String>,
    driver: Option<String>,
    arch: Option<String>,
    isa: Option<String>,
    platform: Option<String>,
}

impl Given {
    /// An item without a key names GPUs, or is `cpu`: no GPU.
    fn parse(specification: &str) -> Result<Self, PretendError> {
        let mut given = Self::default();
        let mut said_cpu = false;
        for item in specification.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if item.eq_ignore_ascii_case("cpu") {
                said_cpu = true;
                continue;
            }
            let (key, value) = item.split_once('=').unwrap_or(("gpu", item));
            let (key, value) = (key.trim(), value.trim());
            let slot = given.slot(key).ok_or(PretendError::UnknownKey { key: key.to_owned() })?;
            if slot.replace(value.to_owned()).is_some() {
                return Err(PretendError::Twice { key: key.to_owned() });
            }
        }
        match (said_cpu, &given.gpu) {
            (true, Some(value)) => Err(PretendError::Value {
                key: "gpu",
                value: value.clone(),
                reason: "`cpu` says that there is none".into(),
            }),
            (false, None) if specification.trim_matches([',', ' ']).is_empty() => {
                Err(PretendError::Empty)
            }
            _ => Ok(given),
        }
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<String>> {
        match key {
            "gpu" => Some(&mut self.gpu),
            "driver" => Some(&mut self.driver),
            "arch" => Some(&mut self.arch),
            "isa" => Some(&mut self.isa),
            "platform" => Some(&mut self.platform),
            _ => None,
        }
    }
}

/// `A100+T4`, `4xA100`.
fn gpus<'a>(names: &str, tables: &'a Tables) -> Result<Vec<KnownGpu<'a>>, PretendError> {
    let mut gpus = Vec::new();
    for name in names.split('+').map(str::trim) {
        let (count, name) = counted(name);
        let known = tables.gpus.find(name).ok_or_else(|| PretendError::UnknownGpu {
            name: name.to_owned(),
            nearest: tables.gpus.nearest(name).map(str::to_owned),
        })?;
        let total = gpus.len().saturating_add(count);
        if total > MOST_GPUS {
            return Err(PretendError::TooMany { count: total });
        }
        gpus.extend(std::iter::repeat_n(known, count));
    }
    Ok(gpus)
}

fn counted(name: &str) -> (usize, &str) {
    let counted = name.split_once('x').and_then(|(count, rest)| Some((count.parse().ok()?, rest)));
    counted.filter(|(count, _)| *count > 0).unwrap_or((1, name))
}

fn sets(text: &str) -> Result<Vec<String>, PretendError> {
    text.split('+').map(|set| one_of("isa", set.trim(), &INSTRUCTION_SETS)).collect()
}

fn one_of(key: &'static str, value: &str, allowed: &[&str]) -> Result<String, PretendError> {
    if allowed.contains(&value) {
        return Ok(value.to_owned());
    }
    let reason = format!("one of {}", allowed.join(", "));
    Err(PretendError::Value { key, value: value.to_owned(), reason })
}

fn driver(
    text: Option<&str>,
    gpus: &[KnownGpu<'_>],
    tables: &Tables,
) -> Result<Fact<Driver>, PretendError> {
    let version = match text {
        Some("none") => return Ok(Fact::absent("pretended: none")),
        None if gpus.is_empty() => return Ok(Fact::absent("pretended: no GPU")),
        None => tables.drivers.assumed.clone(),
        Some(text) => version(text, tables)?,
    };
    let cuda = match tables.drivers.cuda_of(&version) {
        Some(cuda) => Fact::Is(cuda),
        None => Fact::unknown(format!("branch {} is in no table", version.branch())),
    };
    Ok(Fact::Is(Driver { version: Fact::Is(version), cuda, trouble: None }))
}

/// A branch alone won't do: what a driver runs depends on its full version.
fn version(text: &str, tables: &Tables) -> Result<DriverVersion, PretendError> {
    text.parse().map_err(|error: VersionError| {
        let branch = text.parse().ok().and_then(|branch| tables.drivers.example_of(branch));
        let example = branch.map(|v| format!(": give it in full, e.g. {v}")).unwrap_or_default();
        PretendError::Value {
            key: "driver",
            value: text.to_owned(),
            reason: format!("{error}{example}"),
        }
    })
}

fn cpu(architecture: String, sets: Vec<String>) -> Cpu {
    Cpu {
        architecture: Fact::Is(architecture),
        vendor: unsaid(),
        model: unsaid(),
        physical_cores: unsaid(),
        logical_cores: unsaid(),
        affinity: unsaid(),
        quota: unsaid(),
        usable_cores: unsaid(),
        instruction_sets: Fact::Is(sets),
    }
}

fn gpu((index, known): (usize, &KnownGpu<'_>)) -> Gpu {
    Gpu {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        name: Fact::Is(known.name.to_owned()),
        uuid: unsaid(),
        capability: Fact::Is(known.capability),
        memory: unsaid(),
        free: unsaid(),
        pci: unsaid(),
    }
}

fn device(index: usize) -> PciDevice {
    PciDevice {
        pci: format!("0000:{:02x}:00.0", index + 1),
        id: "10de:pretended".into(),
        iommu: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(specification: &str) -> Result<Facts, PretendError> {
        pretend(specification, &Tables::built_in())
    }

    fn names(facts: &Facts) -> Vec<String> {
        let gpus = facts.gpus.known().unwrap();
        gpus.iter().map(|gpu| gpu.name.known().unwrap().clone()).collect()
    }

    fn driver_of(facts: &Facts) -> Option<String> {
        facts.driver.known().map(|d| d.version.known().unwrap().to_string())
    }

    #[test]
    fn reads_every_form() {
        let tables = Tables::built_in();
        let t4 = facts("T4").unwrap();
        assert_eq!(names(&t4), ["T4"]);
        assert_eq!(driver_of(&t4), Some(tables.drivers.assumed.to_string()));
        assert_eq!(t4.pretended.as_deref(), Some("T4"));

        let mixed = facts("gpu=A100+2xT4, driver=580.82.07").unwrap();
        assert_eq!(names(&mixed), ["A100", "T4", "T4"]);
        assert_eq!(driver_of(&mixed).as_deref(), Some("580.82.07"));
        assert_eq!(mixed.driver.known().unwrap().cuda, Fact::Is("13.0".parse().unwrap()));

        let cpu = facts("cpu,isa=sse4_1+sse4_2").unwrap();
        assert_eq!(cpu.gpus, Fact::Is(vec![]));
        assert_eq!(cpu.cpu.instruction_sets.known().unwrap().len(), 2);

        let bare = facts("T4,driver=none").unwrap();
        assert_eq!((names(&bare).len(), bare.nvidia_devices.known().unwrap().len()), (0, 1));

        let wsl = facts("RTX 4090,platform=wsl,driver=527.40").unwrap();
        assert_eq!(wsl.system.wsl, Fact::Is(true));
        let grace = facts("GH200").unwrap();
        assert_eq!(grace.cpu.architecture, Fact::Is("aarch64".into()));
    }

    #[test]
    fn names_what_is_wrong_and_what_is_near() {
        let error = |text: &str| facts(text).unwrap_err();
        let (what, hint) = (error("RTX 4099").to_string(), error("RTX 4099").hint().unwrap());
        assert_eq!(what, "can't pretend `RTX 4099`: no such GPU in the table");
        assert_eq!(hint, "did you mean `RTX 4090`?");
        assert_eq!(
            error("T4,driver=580").to_string(),
            "can't pretend driver=`580`: `580` is a driver branch, not a full driver version: give \
             it in full, e.g. 580.65.06"
        );
        assert_eq!(error(" "), PretendError::Empty);
        assert_eq!(error("T4,gpu=L4"), PretendError::Twice { key: "gpu".into() });
        assert!(matches!(error("T4,dtype=fp16"), PretendError::UnknownKey { .. }));
        assert!(matches!(error("cpu,gpu=T4"), PretendError::Value { key: "gpu", .. }));
        assert!(matches!(error("99xT4"), PretendError::TooMany { count: 99 }));
        assert!(matches!(error("cpu,isa=avx3"), PretendError::Value { key: "isa", .. }));
        assert!(matches!(error("T4+"), PretendError::UnknownGpu { .. }));
    }

    #[test]
    fn facts_read_back_from_their_json() {
        for text in ["T4", "cpu", "A100+V100,driver=535.129.03", "T4,driver=none"] {
            let facts = facts(text).unwrap();
            let json = serde_json::to_string(&facts).unwrap();
            assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_anything(text in "\\PC{0,40}") {
            let _ = facts(&text);
        }

        #[test]
        fn never_panics_on_what_is_nearly_right(
            text in "(gpu=|driver=|arch=|isa=|platform=)?(cpu|T4|A100|[0-9x]{0,22}T4|[0-9.]{0,12}|\\+)(,|\\+|=)?(driver=[0-9.]{0,14})?"
        ) {
            let _ = facts(&text);
        }
    }
}
