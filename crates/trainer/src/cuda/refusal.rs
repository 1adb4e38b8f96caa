//! Why a GPU can't be used from where the trainer runs: each reason with its code, a sentence, and
//! what to do. ybox checks the host before; these are found inside the container, where the GPU has
//! to be.

use std::time::Duration;

use super::driver::{Driver, Failure, Gpu, NoAnswer};

/// Where a driver serves every CUDA of a major version from, by NVIDIA's release notes.
const DRIVER_FLOORS: [(i32, &str); 2] = [(12, "525.60.13"), (13, "580.65.06")];
/// Which GPUs the images' libraries of a major version of CUDA have code for.
const CODES: [Codes; 2] =
    [Codes { cuda: 12, from: (5, 0), to: 9 }, Codes { cuda: 13, from: (7, 5), to: 12 }];

struct Codes {
    /// Major version.
    cuda: i32,
    /// The lowest compute capability.
    from: (i32, i32),
    /// The highest major one.
    to: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NoDriver { reason: String },
    DriverIncomplete { function: &'static str },
    DriverHung { seconds: u64 },
    DriverTooOld { serves: i32, needs: i32 },
    GpuNotShown,
    NoSuchDevice { index: usize, have: usize },
    DriverMismatch { failure: Failure },
    DriverNotReady { failure: Failure },
    ForwardCompatibility { failure: Failure },
    DriverFailed { failure: Failure },
    ArchNotInImage { name: String, capability: (i32, i32), cuda: i32 },
    LibraryMissing { reason: String },
    CudaNotThere,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDriver { .. } => "no-driver",
            Self::DriverIncomplete { .. } => "driver-incomplete",
            Self::DriverHung { .. } => "driver-hung",
            Self::DriverTooOld { .. } => "driver-too-old",
            Self::GpuNotShown => "gpu-not-shown",
            Self::NoSuchDevice { .. } => "no-such-device",
            Self::DriverMismatch { .. } => "driver-mismatch",
            Self::DriverNotReady { .. } => "driver-not-ready",
            Self::ForwardCompatibility { .. } => "forward-compatibility",
            Self::DriverFailed { .. } => "driver-failed",
            Self::ArchNotInImage { .. } => "arch-not-in-image",
            Self::LibraryMissing { .. } => "cuda-library-missing",
            Self::CudaNotThere => "cuda-not-there",
        }
    }

    pub fn sentence(&self) -> String {
        match self {
            Self::NoDriver { reason } => {
                format!("there is no NVIDIA driver here: libcuda.so.1 can't be opened ({reason})")
            }
            Self::DriverIncomplete { function } => {
                format!("the libcuda.so.1 here is no whole driver: it lacks {function}")
            }
            Self::DriverHung { seconds } => {
                format!("the NVIDIA driver did not answer within {seconds} s")
            }
            Self::DriverTooOld { serves, needs } => format!(
                "the NVIDIA driver is too old: it serves CUDA {}, and this image needs {}",
                dotted(*serves),
                dotted(*needs)
            ),
            Self::GpuNotShown => "the NVIDIA driver is here, but shows no GPU".into(),
            Self::NoSuchDevice { index, have } => {
                let have = match have {
                    1 => "only GPU 0 is here".to_owned(),
                    _ => format!("GPUs 0 to {} are here", have - 1),
                };
                format!("there is no GPU {index}: {have}")
            }
            Self::DriverMismatch { failure } => format!(
                "libcuda.so.1 and the kernel's NVIDIA driver are of different versions ({failure})"
            ),
            Self::DriverNotReady { failure } => {
                format!("the NVIDIA driver is not ready yet ({failure})")
            }
            Self::ForwardCompatibility { failure } => format!(
                "a CUDA compatibility package is in the way, which this GPU does not take ({failure})"
            ),
            Self::DriverFailed { failure } => format!("the NVIDIA driver failed ({failure})"),
            Self::ArchNotInImage { name, capability: (major, minor), cuda } => format!(
                "{name} has compute capability {major}.{minor}, and this image's CUDA {} has no \
                 code for it",
                dotted(*cuda)
            ),
            Self::LibraryMissing { reason } => {
                format!("libtorch's CUDA part can't be opened: {reason}")
            }
            Self::CudaNotThere => {
                "libtorch's CUDA part was opened and the driver shows a GPU, but libtorch can't use it"
                    .into()
            }
        }
    }

    /// What would mend it.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoDriver { .. } | Self::GpuNotShown => {
                "give the container the GPU: run it by ybox with device=, or by hand with \
                 --gpus all (Docker) or --device nvidia.com/gpu=all (Podman)"
            }
            Self::DriverIncomplete { .. } => {
                "libcuda.so.1 has to be the host's own: never put one into an image"
            }
            Self::DriverHung { .. } => {
                "look at dmesg for an Xid error of the GPU; a reset or a restart of the machine \
                 mends it most often"
            }
            Self::DriverTooOld { needs, .. } => return needed_driver(*needs),
            Self::NoSuchDevice { .. } => {
                "GPUs are counted from 0 among those that the container was given"
            }
            Self::DriverMismatch { .. } => {
                "the driver was updated while it was loaded: restart the machine, or unload and \
                 load its kernel modules"
            }
            Self::DriverNotReady { .. } => {
                "on a machine with NVSwitch nvidia-fabricmanager has to run, in the driver's version"
            }
            Self::ForwardCompatibility { .. } => {
                "take libcuda of the package cuda-compat out of the library path, and update the \
                 driver instead"
            }
            Self::DriverFailed { .. } => {
                "run nvidia-smi on the host and look at dmesg; after a suspend the kernel module \
                 nvidia_uvm has to be loaded again"
            }
            Self::ArchNotInImage { capability, cuda, .. } => other_image(*capability, *cuda),
            Self::LibraryMissing { .. } => {
                "use a CUDA image; if this is one, it is damaged: build it again"
            }
            Self::CudaNotThere => {
                "unset CUDA_VISIBLE_DEVICES, and see by nvidia-smi whether another process has taken \
                 the GPU or all its memory"
            }
        }
        .into()
    }
}

fn needed_driver(cuda: i32) -> String {
    let major = cuda / 1000;
    let floor = DRIVER_FLOORS.iter().find(|(of, _)| *of == major).map(|(_, floor)| *floor);
    match floor {
        Some(floor) => {
            format!("update the driver to {floor} or newer, or use an older CUDA's image")
        }
        None => "update the driver, or use an older CUDA's image".into(),
    }
}

/// What to do with a GPU that an image of CUDA `runtime` has no code for.
fn other_image(capability: (i32, i32), runtime: i32) -> &'static str {
    match CODES.iter().find(|codes| codes.serve(capability)).map(|codes| codes.cuda) {
        Some(12) if runtime / 1000 > 12 => "use the image cuda126, which serves older GPUs",
        Some(13) if runtime / 1000 < 13 => "use the image cuda13, which serves newer GPUs",
        _ => "no image of this ybox serves this GPU: use device=cpu",
    }
}

impl Codes {
    fn serve(&self, capability: (i32, i32)) -> bool {
        capability >= self.from && capability.0 <= self.to
    }
}

/// 13000 as 13.0.
fn dotted(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: error {}", self.call, self.code)
    }
}

impl Refusal {
    /// A driver that gave no answer within `patience`.
    pub fn of(none: NoAnswer, patience: Duration) -> Self {
        match none {
            NoAnswer::NoLibrary(reason) => Self::NoDriver { reason },
            NoAnswer::Incomplete(function) => Self::DriverIncomplete { function },
            NoAnswer::Hung => Self::DriverHung { seconds: patience.as_secs() },
        }
    }
}

/// GPU `index`, or what of `driver` keeps libraries of CUDA `runtime` from computing on it. A driver
/// serves every CUDA of its own major version and older ones.
pub fn check(driver: &Driver, runtime: i32, index: usize) -> Result<&Gpu, Refusal> {
    // It may fail for being too old, so that comes first.
    if driver.cuda > 0 && driver.cuda / 1000 < runtime / 1000 {
        return Err(Refusal::DriverTooOld { serves: driver.cuda, needs: runtime });
    }
    let gpus = driver.gpus.as_ref().map_err(|failure| failed(*failure))?;
    if gpus.is_empty() {
        return Err(Refusal::GpuNotShown);
    }
    let gpu = gpus.get(index).ok_or(Refusal::NoSuchDevice { index, have: gpus.len() })?;
    let codes = CODES.iter().find(|codes| codes.cuda == runtime / 1000);
    if codes.is_some_and(|codes| !codes.serve(gpu.capability)) {
        let (name, capability) = (gpu.name.clone(), gpu.capability);
        return Err(Refusal::ArchNotInImage { name, capability, cuda: runtime });
    }
    Ok(gpu)
}

/// The driver's numbers: 100 no device, 802 the system is not ready, 803 library and kernel module
/// differ, 804 forward compatibility on hardware without it.
fn failed(failure: Failure) -> Refusal {
    match failure.code {
        100 => Refusal::GpuNotShown,
        802 => Refusal::DriverNotReady { failure },
        803 => Refusal::DriverMismatch { failure },
        804 => Refusal::ForwardCompatibility { failure },
        _ => Refusal::DriverFailed { failure },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_yaml::Value;

    use super::*;

    fn driver(cuda: i32, gpus: &[(&str, (i32, i32))]) -> Driver {
        let gpu = |&(name, capability): &(&str, _)| Gpu { name: name.to_owned(), capability };
        Driver { cuda, gpus: Ok(gpus.iter().map(gpu).collect()) }
    }

    fn failing(code: i32) -> Driver {
        Driver { cuda: 13000, gpus: Err(Failure { call: "cuInit", code }) }
    }

    #[test]
    fn each_machine_gets_its_answer() {
        const T4: (&str, (i32, i32)) = ("Tesla T4", (7, 5));
        const V100: (&str, (i32, i32)) = ("Tesla V100", (7, 0));
        const RTX_5090: (&str, (i32, i32)) = ("RTX 5090", (12, 0));
        for (driver, runtime, index, expected) in [
            (driver(13000, &[T4]), 13000, 0, None),
            (driver(13020, &[T4, T4]), 13000, 1, None),
            (driver(12020, &[V100]), 12060, 0, None),
            (driver(12020, &[T4]), 13000, 0, Some("driver-too-old")),
            (driver(11040, &[V100]), 12060, 0, Some("driver-too-old")),
            (driver(13000, &[V100]), 13000, 0, Some("arch-not-in-image")),
            (driver(13000, &[RTX_5090]), 13000, 0, None),
            (driver(13000, &[RTX_5090]), 12060, 0, Some("arch-not-in-image")),
            (driver(13000, &[T4]), 13000, 1, Some("no-such-device")),
            (driver(13000, &[]), 13000, 0, Some("gpu-not-shown")),
            (failing(100), 13000, 0, Some("gpu-not-shown")),
            (failing(802), 13000, 0, Some("driver-not-ready")),
            (failing(803), 13000, 0, Some("driver-mismatch")),
            (failing(804), 13000, 0, Some("forward-compatibility")),
            (failing(999), 13000, 0, Some("driver-failed")),
        ] {
            let found = check(&driver, runtime, index).err();
            assert_eq!(found.as_ref().map(Refusal::code), expected, "{driver:?}");
        }
    }

    /// Every reason.
    fn all() -> Vec<Refusal> {
        let failure = Failure { call: "cuInit", code: 999 };
        vec![
            Refusal::NoDriver { reason: "no such file".into() },
            Refusal::DriverIncomplete { function: "cuInit" },
            Refusal::DriverHung { seconds: 30 },
            Refusal::DriverTooOld { serves: 12020, needs: 13000 },
            Refusal::GpuNotShown,
            Refusal::NoSuchDevice { index: 2, have: 2 },
            Refusal::DriverMismatch { failure },
            Refusal::DriverNotReady { failure },
            Refusal::ForwardCompatibility { failure },
            Refusal::DriverFailed { failure },
            Refusal::ArchNotInImage { name: "Tesla V100".into(), capability: (7, 0), cuda: 13000 },
            Refusal::LibraryMissing { reason: "libcublas.so.13: not found".into() },
            Refusal::CudaNotThere,
        ]
    }

    #[test]
    fn what_each_says_names_the_facts() {
        let said: String = all()
            .iter()
            .map(|r| format!("{}\n{}\n{}\n\n", r.code(), r.sentence(), r.remedy()))
            .collect();
        insta::assert_snapshot!(said);
    }

    #[test]
    fn a_gpu_without_code_is_sent_to_an_image_that_has_it() {
        let remedy = |capability, cuda| {
            Refusal::ArchNotInImage { name: String::new(), capability, cuda }.remedy()
        };
        for (capability, cuda, expected) in [
            ((7, 0), 13000, "use the image cuda126, which serves older GPUs"),
            ((10, 0), 12060, "use the image cuda13, which serves newer GPUs"),
            ((12, 0), 12060, "use the image cuda13, which serves newer GPUs"),
            ((3, 7), 12060, "no image of this ybox serves this GPU: use device=cpu"),
            ((13, 0), 13000, "no image of this ybox serves this GPU: use device=cpu"),
        ] {
            assert_eq!(remedy(capability, cuda), expected, "{capability:?} {cuda}");
        }
    }

    /// ybox plans by tables; what is said here must not differ from them.
    #[test]
    fn floors_and_codes_are_those_of_the_tables() {
        let table = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let drivers = table(include_str!("../../../../src/plan/tables/drivers.yaml"));
        let floors: Vec<_> = rows(&drivers["floors"])
            .map(|row| (row["cuda"].as_i64().unwrap() as i32, row["linux"].as_str().unwrap()))
            .filter(|(cuda, _)| *cuda >= 12)
            .collect();
        assert_eq!(floors, DRIVER_FLOORS);

        let wheels = table(include_str!("../../../../src/plan/tables/wheels.yaml"));
        let stacks = wheels["stacks"].as_sequence().unwrap().iter().flat_map(rows);
        let mut codes: Vec<_> = stacks
            .map(|stack| {
                let cubins = stack["cubins"].as_sequence().unwrap().iter().map(version);
                let (from, to) = (cubins.clone().min().unwrap(), cubins.max().unwrap().0);
                (version(&stack["cuda"]).0, from, to)
            })
            .collect();
        codes.sort_unstable();
        assert_eq!(codes, CODES.map(|codes| (codes.cuda, codes.from, codes.to)));
    }

    fn rows(block: &Value) -> impl Iterator<Item = &Value> {
        block["rows"].as_sequence().unwrap().iter()
    }

    fn version(text: &Value) -> (i32, i32) {
        let (major, minor) = text.as_str().unwrap().split_once('.').unwrap();
        (major.parse().unwrap(), minor.parse().unwrap())
    }

    /// `docs/gpu.md` lists each code in a table's row.
    #[test]
    fn the_codes_are_unique_and_those_of_the_documentation() {
        let page = include_str!("../../../../docs/gpu.md");
        let part = page.split("### Inside the container").nth(1).expect("the page has that part");
        let part = part.split("\n#").next().expect("it has a beginning");
        let row = |line: &str| line.strip_prefix("| `")?.split('`').next().map(str::to_owned);
        let listed: BTreeSet<String> = part.lines().filter_map(row).collect();
        let codes: BTreeSet<String> = all().iter().map(|r| r.code().to_owned()).collect();
        assert_eq!(codes.len(), all().len());
        assert_eq!(codes, listed);
    }
}
