//! Which devices a plan is for: the CPU, or which GPUs.

use super::code::Code;
use super::refusal::{GpuLabel, LEAST_MEMORY, Refusal};
use super::request::{Device, Request};
use super::tables::{Status, Tables};
use super::{Decided, Trail, Variant};
use crate::probe::Facts;
use crate::probe::facts::{Fact, Gpu};
use crate::probe::version::Capability;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Cpu,
    /// At least one.
    Gpus(Vec<Candidate>),
}

/// A GPU with what decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub index: u32,
    pub name: String,
    pub capability: Capability,
}

impl Candidate {
    pub fn label(&self) -> GpuLabel {
        GpuLabel { index: self.index, name: self.name.clone(), capability: Some(self.capability) }
    }
}

impl Target {
    pub fn indexes(&self) -> Vec<u32> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Gpus(gpus) => gpus.iter().map(|gpu| gpu.index).collect(),
        }
    }
}

/// Whether the images are made for this processor at all.
pub fn processor(facts: &Facts, tables: &Tables, trail: &mut Trail) -> Decided<()> {
    let images = &tables.wheels.processors.rows;
    let subject = "processor";
    match facts.cpu.architecture.known() {
        Some(have) if images.contains(have) => {
            trail.passed(
                subject,
                Code::ProcessorInImage,
                format!("the images are made for {have}"),
            );
            Ok(())
        }
        Some(have) => {
            let refusal =
                Refusal::ProcessorNotInImage { have: have.clone(), images: images.clone() };
            trail.refused(subject, vec![refusal])
        }
        None => {
            let reason = facts.cpu.architecture.reason();
            trail.unverified(subject, Code::NotInTable, format!("its kind is not known: {reason}"));
            Ok(())
        }
    }
}

pub fn choose(
    facts: &Facts,
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Decided<Target> {
    if let Some(refusal) = contradiction(request) {
        return trail.refused("device", vec![refusal]);
    }
    if request.variant == Some(Variant::Cpu) || request.device == Device::Cpu {
        trail.chosen("device cpu", Code::AskedFor, "the CPU was asked for");
        return Ok(Target::Cpu);
    }
    let gpus = match present(facts) {
        Ok(gpus) => gpus,
        Err(Refusal::NoGpu) if request.variant.is_none() && request.device == Device::Auto => {
            trail.chosen("device cpu", Code::NoGpu, "this machine shows no NVIDIA GPU");
            return Ok(Target::Cpu);
        }
        Err(refusal) => return trail.refused("device", vec![refusal]),
    };
    let gpus = selected(gpus, &request.device).or_else(|r| trail.refused("device", vec![r]))?;
    candidates(&gpus, facts, tables, trail).map(Target::Gpus)
}

/// A variant and a device that exclude each other.
fn contradiction(request: &Request) -> Option<Refusal> {
    let for_cpu = request.variant? == Variant::Cpu;
    let clash = match request.device {
        Device::Auto => false,
        Device::Cpu => !for_cpu,
        Device::Cuda | Device::Gpus(_) | Device::Uuids(_) => for_cpu,
    };
    let variant = request.variant?;
    clash.then(|| Refusal::VariantNotForDevice { variant, device: request.device.to_string() })
}

/// The GPUs that the driver shows, or what became of them.
fn present(facts: &Facts) -> Result<&[Gpu], Refusal> {
    let trouble = facts.driver.known().and_then(|driver| driver.trouble.as_ref());
    let shown = facts.gpus.known().is_some_and(|gpus| !gpus.is_empty()) && trouble.is_none();
    if !shown && !facts.barred_nodes.is_empty() {
        return Err(Refusal::GpuLostInContainer { nodes: facts.barred_nodes.clone() });
    }
    if let Some(reason) = trouble {
        return Err(Refusal::CudaDoesNotStart { reason: reason.clone() });
    }
    match &facts.gpus {
        Fact::Unknown { unknown } => Err(Refusal::DriverUnknown { reason: unknown.clone() }),
        Fact::Is(gpus) if !gpus.is_empty() => match &facts.driver {
            Fact::Absent { absent } => {
                Err(Refusal::NoDriver { devices: Vec::new(), reason: absent.clone() })
            }
            _ => Ok(gpus),
        },
        _ => Err(missing(facts)),
    }
}

/// Without GPUs to show: there is none, or hardware that the driver doesn't serve.
fn missing(facts: &Facts) -> Refusal {
    let devices = facts.nvidia_devices.known().map(Vec::as_slice).unwrap_or_default();
    let devices: Vec<_> = devices.iter().map(|device| device.pci.clone()).collect();
    match &facts.driver {
        _ if devices.is_empty() => Refusal::NoGpu,
        Fact::Is(driver) => {
            let version = driver.version.known().map(|version| version.to_string());
            let driver = version.unwrap_or_else(|| "of unknown version".into());
            Refusal::GpuNotShown { devices, driver }
        }
        other => Refusal::NoDriver { devices, reason: other.reason().to_owned() },
    }
}

fn selected<'a>(gpus: &'a [Gpu], device: &Device) -> Result<Vec<&'a Gpu>, Refusal> {
    let no_such = |wanted: String, have| Refusal::NoSuchDevice { wanted, have };
    match device {
        Device::Gpus(wanted) => {
            let have = || gpus.iter().map(|gpu| gpu.index.to_string()).collect();
            let find = |index: &u32| gpus.iter().find(|gpu| gpu.index == *index);
            let found = |index: &u32| find(index).ok_or_else(|| no_such(index.to_string(), have()));
            wanted.iter().map(found).collect()
        }
        Device::Uuids(wanted) => {
            let have = || gpus.iter().filter_map(|gpu| gpu.uuid.known().cloned()).collect();
            let found =
                |uuid: &String| by_uuid(gpus, uuid).ok_or_else(|| no_such(uuid.clone(), have()));
            let mut found = wanted.iter().map(found).collect::<Result<Vec<_>, _>>()?;
            found.sort_by_key(|gpu| gpu.index);
            found.dedup_by_key(|gpu| gpu.index);
            Ok(found)
        }
        Device::Auto | Device::Cpu | Device::Cuda => Ok(gpus.iter().collect()),
    }
}

/// The one GPU whose UUID begins so, as CUDA reads them.
fn by_uuid<'a>(gpus: &'a [Gpu], beginning: &str) -> Option<&'a Gpu> {
    let begins = |gpu: &&Gpu| gpu.uuid.known().is_some_and(|uuid| uuid.starts_with(beginning));
    let mut found = gpus.iter().filter(begins);
    found.next().filter(|_| found.next().is_none())
}

fn candidates(
    gpus: &[&Gpu],
    facts: &Facts,
    tables: &Tables,
    trail: &mut Trail,
) -> Decided<Vec<Candidate>> {
    let mut found = Vec::new();
    let mut refusals = Vec::new();
    for gpu in gpus {
        match candidate(gpu, facts, tables, trail) {
            Ok(candidate) => found.push(candidate),
            Err(refusal) => {
                trail.rejected(format!("GPU {}", gpu.index), &refusal);
                refusals.push(refusal);
            }
        }
    }
    if refusals.is_empty() { Ok(found) } else { Err(refusals) }
}

fn candidate(
    gpu: &Gpu,
    facts: &Facts,
    tables: &Tables,
    trail: &mut Trail,
) -> Result<Candidate, Refusal> {
    let name = gpu.name.known().cloned().unwrap_or_else(|| "name not known".into());
    let capability = capability(gpu, &name, tables, trail)?;
    let candidate = Candidate { index: gpu.index, name, capability };
    let driver = facts.driver.known().and_then(|driver| driver.version.known());
    if let (Some(have), Some(last_branch)) = (driver, tables.drivers.last_branch(capability))
        && have.branch() > last_branch
    {
        let (gpu, have) = (candidate.label(), have.clone());
        return Err(Refusal::DriverTooNew { gpu, have, last_branch });
    }
    if let Some(free) = gpu.free.known().copied().filter(|free| *free < LEAST_MEMORY) {
        return Err(Refusal::GpuMemoryShort { gpu: candidate.label(), free });
    }
    let reason = format!("{}, compute capability {capability}", candidate.name);
    trail.passed(format!("GPU {}", gpu.index), Code::GpuUsable, reason);
    Ok(candidate)
}

/// What the driver says, else what the table says of the name.
fn capability(
    gpu: &Gpu,
    name: &str,
    tables: &Tables,
    trail: &mut Trail,
) -> Result<Capability, Refusal> {
    let subject = format!("GPU {}", gpu.index);
    if let Some(capability) = gpu.capability.known() {
        if !tables.gpus.knows(*capability) {
            let reason = format!("compute capability {capability} is in no table");
            trail.unverified(subject, Code::NotInTable, reason);
        }
        return Ok(*capability);
    }
    let Some(known) = tables.gpus.find(name) else {
        let gpu = GpuLabel { index: gpu.index, name: name.to_owned(), capability: None };
        let reason = "the driver doesn't tell it".to_owned();
        return Err(Refusal::CapabilityUnknown { gpu, reason });
    };
    let reason = format!("by its name it is a {} ({})", known.name, known.capability);
    match known.status {
        Status::Verified => trail.passed(subject, Code::CapabilityFromName, reason),
        Status::Unverified => trail.unverified(subject, Code::UnverifiedRow, reason),
    }
    Ok(known.capability)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Plan};

    fn facts(hardware: &str) -> Facts {
        plan::pretend(hardware, &Tables::built_in()).unwrap()
    }

    fn planned(facts: &Facts, device: Device) -> Result<Plan, Vec<&'static str>> {
        let request = Request { device, ..Default::default() };
        plan::plan(facts, &request, &Tables::built_in())
            .map_err(|refused| refused.refusals.iter().map(|r| r.code().name()).collect())
    }

    fn gpu_mut(facts: &mut Facts) -> &mut Gpu {
        match &mut facts.gpus {
            Fact::Is(gpus) => &mut gpus[0],
            other => panic!("no GPUs: {other:?}"),
        }
    }

    #[test]
    fn only_a_machine_without_a_gpu_falls_back_to_its_cpu() {
        assert_eq!(planned(&facts("cpu"), Device::Auto).unwrap().variant, Variant::Cpu);
        assert_eq!(planned(&facts("T4,driver=none"), Device::Auto), Err(vec!["no-driver"]));
        assert_eq!(
            planned(&facts("T4,driver=470.82.01"), Device::Auto),
            Err(vec!["driver-too-old"])
        );
        assert_eq!(planned(&facts("K80"), Device::Auto), Err(vec!["arch-not-in-image"]));
        for hardware in ["T4,driver=none", "T4,driver=470.82.01", "K80"] {
            assert_eq!(planned(&facts(hardware), Device::Cpu).unwrap().variant, Variant::Cpu);
        }
        assert_eq!(planned(&facts("cpu"), Device::Cuda), Err(vec!["no-gpu"]));
    }

    #[test]
    fn hardware_that_the_driver_ignores_is_not_nothing() {
        let mut facts = facts("GTX 1080");
        facts.gpus = Fact::Is(Vec::new());
        assert_eq!(planned(&facts, Device::Auto), Err(vec!["gpu-not-shown"]));
        facts.gpus = Fact::unknown("did not answer within 10 s");
        assert_eq!(planned(&facts, Device::Auto), Err(vec!["driver-unknown"]));
        assert_eq!(planned(&facts, Device::Cpu).unwrap().variant, Variant::Cpu);
    }

    #[test]
    fn device_picks_among_the_gpus() {
        let mixed = facts("A100+T4+V100");
        let of = |indexes: &[u32]| planned(&mixed, Device::Gpus(indexes.to_vec()));
        assert_eq!(of(&[0]).unwrap().devices, [0]);
        assert_eq!(of(&[0]).unwrap().attention.name(), "flash");
        assert_eq!(of(&[0, 1]).unwrap().attention.name(), "efficient");
        assert_eq!(of(&[0, 2]).unwrap().variant, Variant::Cuda126);
        assert_eq!(of(&[3]), Err(vec!["no-such-device"]));
    }

    #[test]
    fn uuids_pick_by_their_beginning_if_it_is_of_one_gpu() {
        let mut mixed = facts("A100+T4");
        let Fact::Is(gpus) = &mut mixed.gpus else { panic!("pretended GPUs") };
        for (gpu, uuid) in gpus.iter_mut().zip(["GPU-8932f937", "GPU-89ab0000"]) {
            gpu.uuid = Fact::Is(uuid.into());
        }
        let of = |uuids: &[&str]| {
            let uuids = uuids.iter().map(|uuid| (*uuid).to_owned()).collect();
            planned(&mixed, Device::Uuids(uuids)).map(|plan| plan.devices)
        };
        assert_eq!(of(&["GPU-89ab0000"]), Ok(vec![1]));
        assert_eq!(of(&["GPU-89a", "GPU-893"]), Ok(vec![0, 1]));
        assert_eq!(of(&["GPU-89a", "GPU-89ab"]), Ok(vec![1]));
        assert_eq!(of(&["GPU-89"]), Err(vec!["no-such-device"]));
        assert_eq!(of(&["GPU-ffff"]), Err(vec!["no-such-device"]));
    }

    #[test]
    fn a_gpu_that_others_have_filled_is_refused_and_another_taken() {
        let mut mixed = facts("A100+T4");
        gpu_mut(&mut mixed).free = Fact::Is((2 << 30) - 1);
        assert_eq!(planned(&mixed, Device::Auto), Err(vec!["gpu-memory-short"]));
        assert_eq!(planned(&mixed, Device::Gpus(vec![1])).unwrap().devices, [1]);
        gpu_mut(&mut mixed).free = Fact::Is(2 << 30);
        assert_eq!(planned(&mixed, Device::Auto).unwrap().devices, [0, 1]);
    }

    #[test]
    fn nodes_that_may_not_be_opened_explain_gpus_that_are_not_shown() {
        let mut lost = facts("T4");
        lost.barred_nodes = vec!["/dev/nvidiactl".into()];
        assert!(planned(&lost, Device::Auto).is_ok(), "the GPU is shown all the same");
        lost.gpus = Fact::unknown("NVML: an unknown internal error occurred");
        assert_eq!(planned(&lost, Device::Auto), Err(vec!["gpu-lost-in-container"]));
        assert_eq!(planned(&lost, Device::Cpu).unwrap().variant, Variant::Cpu);
    }

    #[test]
    fn a_capability_comes_from_the_driver_then_the_name_then_not_at_all() {
        let mut facts = facts("A100");
        gpu_mut(&mut facts).capability = Fact::unknown("an old library");
        gpu_mut(&mut facts).name = Fact::Is("NVIDIA A100-SXM4-40GB".into());
        let plan = planned(&facts, Device::Auto).unwrap();
        assert!(plan.verified && plan.rules.iter().any(|r| r.code == Code::CapabilityFromName));

        gpu_mut(&mut facts).name = Fact::Is("Quadro P2000".into());
        let plan = planned(&facts, Device::Auto).unwrap();
        assert_eq!((plan.variant, plan.verified), (Variant::Cuda126, false));

        gpu_mut(&mut facts).name = Fact::Is("NVIDIA Graphics Device".into());
        assert_eq!(planned(&facts, Device::Auto), Err(vec!["capability-unknown"]));
    }

    #[test]
    fn a_processor_without_images_is_refused_even_for_the_cpu_variant() {
        assert_eq!(planned(&facts("GH200"), Device::Auto), Err(vec!["processor-not-in-image"]));
        assert_eq!(
            planned(&facts("cpu,arch=aarch64"), Device::Cpu),
            Err(vec!["processor-not-in-image"])
        );
    }
}
