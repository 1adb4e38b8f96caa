//! GPUs and driver: asks NVIDIA's libraries in a process of its own, with a time limit, and puts
//! their answers together with what the kernel says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::driver::{Answer, CudaAnswer};
use super::facts::{Apart, Driver, Fact, Gpu};
use super::programs::output;
use super::version::DriverVersion;

/// A program that prints what `driver::answer` gives, as JSON: ybox itself, or a stand-in.
#[derive(Debug, Clone)]
pub struct Questioner {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// A folder that NVIDIA's libraries are looked for in first, in place of `LD_LIBRARY_PATH`.
    pub libraries: Option<PathBuf>,
}

/// The two libraries' answers, or why there are none.
pub async fn ask(questioner: &Questioner, patience: Duration) -> Result<Answer, String> {
    let mut command = Command::new(&questioner.program);
    // CUDA's own order puts the fastest GPU first; `nvidia-smi` and NVML go by PCI address. What is
    // hidden from CUDA in this shell is there for a container all the same.
    command.args(&questioner.arguments).env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    command.env_remove("CUDA_VISIBLE_DEVICES");
    if let Some(folder) = &questioner.libraries {
        command.env("LD_LIBRARY_PATH", folder);
    }
    let answer = output(&mut command, patience)
        .await
        .map_err(|reason| format!("asking the NVIDIA driver: {reason}"))?;
    if !answer.status.success() {
        return Err(format!("asking the NVIDIA driver ended with {}", answer.status));
    }
    serde_json::from_slice(&answer.stdout)
        .map_err(|error| format!("the answer about the NVIDIA driver can't be read: {error}"))
}

/// Driver and GPUs from all that was learnt; `module` is the loaded kernel module's version.
pub fn combine(
    answer: Result<Answer, String>,
    module: Option<DriverVersion>,
) -> (Fact<Driver>, Fact<Vec<Gpu>>) {
    match answer {
        Ok(Answer { cuda: Fact::Absent { absent: cuda }, nvml: Fact::Absent { absent: nvml } }) => {
            without_libraries(&format!("{cuda}; {nvml}"), module)
        }
        Ok(answer) => (driver(&answer, module), gpus(answer)),
        Err(reason) => {
            let driver = module.map(|version| only_module(version, &reason));
            (driver.map_or_else(|| Fact::unknown(&reason), Fact::Is), Fact::unknown(&reason))
        }
    }
}

fn without_libraries(
    reason: &str,
    module: Option<DriverVersion>,
) -> (Fact<Driver>, Fact<Vec<Gpu>>) {
    match module {
        None => (Fact::absent(reason), Fact::Is(Vec::new())),
        Some(version) => (
            Fact::Is(only_module(version, reason)),
            Fact::unknown(format!("the kernel module is loaded, but {reason}")),
        ),
    }
}

fn only_module(version: DriverVersion, reason: &str) -> Driver {
    Driver { version: Fact::Is(version), cuda: Fact::unknown(reason), trouble: None }
}

fn driver(answer: &Answer, module: Option<DriverVersion>) -> Fact<Driver> {
    let unasked = |reason: &str| Fact::unknown(reason);
    let nvml = answer.nvml.known();
    let version = nvml.map_or_else(|| Fact::unknown(answer.nvml.reason()), |n| n.driver.clone());
    let cuda = match answer.cuda.known() {
        Some(cuda) => cuda.version.clone(),
        None => unasked(answer.cuda.reason()),
    };
    Fact::Is(Driver {
        version: version.or(module.map_or_else(|| Fact::unknown("no kernel module"), Fact::Is)),
        cuda: cuda.or(nvml.map_or_else(|| Fact::unknown("no NVML"), |n| n.cuda.clone())),
        trouble: trouble(answer),
    })
}

/// Why CUDA has no GPUs where NVML has some.
fn trouble(answer: &Answer) -> Option<String> {
    let shown = answer.nvml.known()?.devices.known()?.len();
    match &answer.cuda {
        _ if shown == 0 => None,
        Fact::Absent { absent: reason } | Fact::Unknown { unknown: reason } => Some(reason.clone()),
        Fact::Is(CudaAnswer { devices: Fact::Is(devices), .. }) => {
            devices.is_empty().then(|| "cuInit: CUDA_ERROR_NO_DEVICE".to_owned())
        }
        Fact::Is(cuda) => Some(cuda.devices.reason().to_owned()),
    }
}

/// The pairs of GPUs without access to each other's memory.
pub fn apart(answer: &Result<Answer, String>) -> Vec<Apart> {
    let nvml = answer.as_ref().ok().and_then(|answer| answer.nvml.known());
    nvml.map(|nvml| nvml.apart.clone()).unwrap_or_default()
}

/// NVML's list, completed from CUDA's: CUDA leaves out GPUs that are hidden from this process, and
/// NVML of an old driver lacks some questions.
fn gpus(answer: Answer) -> Fact<Vec<Gpu>> {
    let list = |devices: Option<Fact<Vec<Gpu>>>, reason: String| {
        devices.unwrap_or_else(|| Fact::unknown(reason))
    };
    let (nvml_reason, cuda_reason) =
        (answer.nvml.reason().to_owned(), answer.cuda.reason().to_owned());
    let nvml = list(answer.nvml.known().map(|n| n.devices.clone()), nvml_reason);
    let cuda = list(answer.cuda.known().map(|c| c.devices.clone()), cuda_reason);
    match (nvml, cuda) {
        (Fact::Is(nvml), Fact::Is(cuda)) => {
            Fact::Is(nvml.into_iter().map(|gpu| completed(gpu, &cuda)).collect())
        }
        (nvml, cuda) => nvml.or(cuda),
    }
}

fn completed(gpu: Gpu, others: &[Gpu]) -> Gpu {
    let same = |other: &&Gpu| {
        let equal = |a: &Fact<String>, b: &Fact<String>| a.known().is_some() && a == b;
        equal(&gpu.pci, &other.pci) || equal(&gpu.uuid, &other.uuid)
    };
    match others.iter().find(same).cloned() {
        Some(other) => Gpu {
            index: gpu.index,
            name: gpu.name.or(other.name),
            uuid: gpu.uuid.or(other.uuid),
            capability: gpu.capability.or(other.capability),
            memory: gpu.memory.or(other.memory),
            free: gpu.free.or(other.free),
            pci: gpu.pci.or(other.pci),
        },
        None => gpu,
    }
}

#[cfg(test)]
mod tests {
    use super::super::driver::NvmlAnswer;
    use super::super::version::Capability;
    use super::*;

    fn gpu(index: u32, pci: &str) -> Gpu {
        Gpu {
            index,
            name: Fact::Is("Tesla T4".into()),
            uuid: Fact::unknown("not asked"),
            capability: Fact::unknown("not asked"),
            memory: Fact::unknown("not asked"),
            free: Fact::unknown("not asked"),
            pci: Fact::Is(pci.into()),
        }
    }

    fn absent() -> Answer {
        Answer { cuda: Fact::absent("no libcuda"), nvml: Fact::absent("no libnvidia-ml") }
    }

    fn version(text: &str) -> DriverVersion {
        text.parse().unwrap()
    }

    #[test]
    fn no_library_and_no_module_is_no_driver() {
        let (driver, gpus) = combine(Ok(absent()), None);
        assert_eq!(driver, Fact::absent("no libcuda; no libnvidia-ml"));
        assert_eq!(gpus, Fact::Is(vec![]));
    }

    #[test]
    fn a_module_without_libraries_leaves_the_gpus_unknown() {
        let (driver, gpus) = combine(Ok(absent()), Some(version("580.82.07")));
        assert_eq!(driver.known().unwrap().version, Fact::Is(version("580.82.07")));
        assert!(matches!(gpus, Fact::Unknown { .. }));
    }

    #[test]
    fn no_answer_leaves_everything_unknown_but_the_module() {
        let (driver, gpus) = combine(Err("hung".into()), None);
        assert_eq!((driver, gpus), (Fact::unknown("hung"), Fact::unknown("hung")));
        let (driver, _) = combine(Err("hung".into()), Some(version("580.82.07")));
        assert_eq!(driver.known().unwrap().version, Fact::Is(version("580.82.07")));
    }

    #[test]
    fn cuda_completes_what_nvml_could_not_say() {
        let seen_by_cuda =
            Gpu { capability: Fact::Is(Capability::new(7, 5)), ..gpu(0, "0000:41:00.0") };
        let answer = Answer {
            cuda: Fact::Is(CudaAnswer {
                version: Fact::Is("12.2".parse().unwrap()),
                devices: Fact::Is(vec![seen_by_cuda]),
            }),
            nvml: Fact::Is(NvmlAnswer {
                driver: Fact::Is(version("535.129.03")),
                cuda: Fact::unknown("old"),
                devices: Fact::Is(vec![gpu(0, "0000:01:00.0"), gpu(1, "0000:41:00.0")]),
                apart: Vec::new(),
            }),
        };
        let (driver, gpus) = combine(Ok(answer), None);
        assert_eq!(driver.known().unwrap().cuda, Fact::Is("12.2".parse().unwrap()));
        let gpus = gpus.known().unwrap().clone();
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[0].capability.known(), None);
        assert_eq!(gpus[1].capability, Fact::Is(Capability::new(7, 5)));
        assert_eq!(gpus[1].index, 1);
    }

    #[test]
    fn cuda_alone_is_enough() {
        let answer = Answer {
            cuda: Fact::Is(CudaAnswer {
                version: Fact::Is("13.0".parse().unwrap()),
                devices: Fact::Is(vec![gpu(0, "0000:01:00.0")]),
            }),
            nvml: Fact::absent("no libnvidia-ml"),
        };
        let (driver, gpus) = combine(Ok(answer), None);
        assert_eq!(driver.known().unwrap().version, Fact::unknown("no libnvidia-ml"));
        assert_eq!(gpus.known().unwrap().len(), 1);
    }
}
