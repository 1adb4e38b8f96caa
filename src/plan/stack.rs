//! Which variant serves the chosen devices: machine code for every GPU, and a driver that runs it.

use super::code::Code;
use super::offers::offers;
use super::refusal::Refusal;
use super::request::Request;
use super::tables::{Coverage, StackRow, Status, Tables};
use super::target::{Candidate, Target};
use super::{Decided, Outcome, Trail, Variant};
use crate::probe::Facts;
use crate::probe::facts::{Driver, Fact};

pub fn choose(
    target: &Target,
    facts: &Facts,
    request: &Request,
    tables: &Tables,
    trail: &mut Trail,
) -> Decided<Variant> {
    let gpus = match target {
        Target::Gpus(gpus) => gpus,
        Target::Cpu => {
            trail.chosen("variant cpu", Code::DefaultForDevice, "the variant for a CPU");
            return Ok(Variant::Cpu);
        }
    };
    let host = Host { gpus, facts, tables };
    match request.variant {
        Some(variant) => host.only(variant, trail),
        None => host.best(trail),
    }
}

/// What the variants have to fit.
struct Host<'a> {
    gpus: &'a [Candidate],
    facts: &'a Facts,
    tables: &'a Tables,
}

impl Host<'_> {
    /// The variant that was asked for, if it fits.
    fn only(&self, variant: Variant, trail: &mut Trail) -> Decided<Variant> {
        let subject = format!("variant {variant}");
        let stacks = self.tables.wheels.stacks();
        let Some((stack, status)) = stacks.into_iter().find(|(s, _)| s.variant == variant) else {
            let device = "cuda".to_owned();
            return trail.refused(subject, vec![Refusal::VariantNotForDevice { variant, device }]);
        };
        match self.fits(stack) {
            Ok(reason) => {
                trail.chosen(&subject, Code::AskedFor, reason);
                doubt(stack, status, trail);
                Ok(variant)
            }
            Err(refusals) => trail.refused(subject, refusals),
        }
    }

    /// The first variant that fits.
    fn best(&self, trail: &mut Trail) -> Decided<Variant> {
        let mut failures = Vec::new();
        for (stack, status) in self.tables.wheels.stacks() {
            let subject = format!("variant {}", stack.variant);
            match self.fits(stack) {
                Ok(reason) => {
                    let several = self.gpus.len() > 1;
                    let code = if several { Code::CommonToAllGpus } else { Code::FirstThatFits };
                    trail.chosen(&subject, code, reason);
                    doubt(stack, status, trail);
                    return Ok(stack.variant);
                }
                Err(refusals) => {
                    refusals.iter().for_each(|refusal| trail.rejected(&subject, refusal));
                    failures.push((stack, refusals));
                }
            }
        }
        let refusals = self.conclusion(&failures);
        if let [mixed @ Refusal::MixedGpusNoCommonStack { .. }] = refusals.as_slice() {
            trail.rejected("variant", mixed);
        }
        Err(refusals)
    }

    /// What to say when no variant fits. The last of those that only the driver keeps from running
    /// asks least of it; failing that, the GPUs are what stands in the way.
    fn conclusion(&self, failures: &[(&StackRow, Vec<Refusal>)]) -> Vec<Refusal> {
        let served = |(stack, _): &&(&StackRow, Vec<Refusal>)| {
            self.gpus.iter().all(|gpu| self.serves(stack, gpu))
        };
        if let Some((_, refusals)) = failures.iter().rev().find(served) {
            return refusals.clone();
        }
        let each: Vec<_> = self.gpus.iter().map(|gpu| (gpu.label(), self.variants(gpu))).collect();
        let unserved: Vec<_> = each.iter().filter(|(_, variants)| variants.is_empty()).collect();
        if unserved.is_empty() {
            return vec![Refusal::MixedGpusNoCommonStack { gpus: each }];
        }
        let refusal = |gpu: &super::GpuLabel| Refusal::ArchNotInImage {
            gpu: gpu.clone(),
            variant: None,
            have: Vec::new(),
        };
        unserved.iter().map(|(gpu, _)| refusal(gpu)).collect()
    }

    fn serves(&self, stack: &StackRow, gpu: &Candidate) -> bool {
        self.tables.wheels.coverage(stack, gpu.capability).is_some()
    }

    /// The variants with code for one GPU.
    fn variants(&self, gpu: &Candidate) -> Vec<Variant> {
        let stacks = self.tables.wheels.stacks().map(|(stack, _)| stack);
        stacks.filter(|stack| self.serves(stack, gpu)).map(|stack| stack.variant).collect()
    }

    /// Why a variant fits, or everything that keeps it from running here.
    fn fits(&self, stack: &StackRow) -> Result<String, Vec<Refusal>> {
        let mut refusals: Vec<_> =
            self.gpus.iter().filter_map(|gpu| self.gpu_fits(stack, gpu).err()).collect();
        let driver = self.driver_fits(stack);
        match driver {
            Ok(reason) if refusals.is_empty() => Ok(format!("{}; {reason}", self.code(stack))),
            Ok(_) => Err(refusals),
            Err(refusal) => {
                refusals.push(refusal);
                Err(refusals)
            }
        }
    }

    /// The code that runs on each GPU, in words.
    fn code(&self, stack: &StackRow) -> String {
        let words = |gpu: &Candidate| match self.tables.wheels.coverage(stack, gpu.capability) {
            Some(Coverage::Cubin(cubin)) => cubin.sm(),
            Some(Coverage::Ptx(ptx)) => format!("PTX {ptx}"),
            None => "nothing".into(),
        };
        let mut codes: Vec<_> = self.gpus.iter().map(words).collect();
        codes.dedup();
        format!("{} has {}", stack.build, codes.join(", "))
    }

    fn gpu_fits(&self, stack: &StackRow, gpu: &Candidate) -> Result<(), Refusal> {
        let (label, variant) = (gpu.label(), stack.variant);
        match self.tables.wheels.coverage(stack, gpu.capability) {
            Some(Coverage::Cubin(_)) => Ok(()),
            Some(Coverage::Ptx(_)) => self.ptx_fits(stack, gpu),
            None if stack.cuda.major == 13 && self.dropped(stack, gpu) => {
                Err(Refusal::ArchRemovedInCuda13 { gpu: label, variant })
            }
            None => {
                let have = stack.cubins.clone();
                Err(Refusal::ArchNotInImage { gpu: label, variant: Some(variant), have })
            }
        }
    }

    fn dropped(&self, stack: &StackRow, gpu: &Candidate) -> bool {
        self.tables.wheels.dropped(stack.cuda, gpu.capability)
    }

    /// Only a driver at least as new as the toolkit compiles the toolkit's code.
    fn ptx_fits(&self, stack: &StackRow, gpu: &Candidate) -> Result<(), Refusal> {
        let floor = self.tables.drivers.of_toolkit(stack.cuda);
        let need = floor.and_then(|floor| floor.on(self.windows()));
        let driver = self.facts.driver.known();
        let have = driver.and_then(|driver| driver.version.known());
        let runs = match (have, need) {
            (Some(have), Some(need)) => have >= need,
            _ => driver.and_then(|d| d.cuda.known()).is_some_and(|cuda| *cuda >= stack.cuda),
        };
        let (variant, need) = (stack.variant, need.cloned());
        if runs {
            Ok(())
        } else {
            Err(Refusal::PtxNeedsNewerDriver { gpu: gpu.label(), variant, need })
        }
    }

    fn windows(&self) -> bool {
        self.facts.system.wsl.known() == Some(&true)
    }

    /// By the driver's full version where NVIDIA names a floor, else by the CUDA version that the
    /// driver itself says it supports.
    fn driver_fits(&self, stack: &StackRow) -> Result<String, Refusal> {
        let driver = match &self.facts.driver {
            Fact::Is(driver) => driver,
            Fact::Unknown { unknown: reason } | Fact::Absent { absent: reason } => {
                return Err(Refusal::DriverUnknown { reason: reason.clone() });
            }
        };
        let floor = self.tables.drivers.floor(stack.cuda);
        let need = floor.and_then(|floor| floor.on(self.windows()));
        match (driver.version.known(), need) {
            (Some(have), Some(need)) if have >= need => {
                Ok(format!("driver {have} is {need} or newer"))
            }
            (Some(have), Some(need)) => Err(Refusal::DriverTooOld {
                variant: stack.variant,
                have: have.clone(),
                need: need.clone(),
                cuda: stack.cuda,
            }),
            _ => cuda_fits(driver, stack),
        }
    }
}

fn cuda_fits(driver: &Driver, stack: &StackRow) -> Result<String, Refusal> {
    match driver.cuda.known() {
        Some(cuda) if cuda.major >= stack.cuda.major => {
            Ok(format!("the driver says that it supports CUDA {cuda}"))
        }
        Some(cuda) => Err(Refusal::DriverUnknown {
            reason: format!(
                "it says that it supports CUDA {cuda}, and {} is made with {}",
                stack.variant, stack.cuda
            ),
        }),
        None => Err(Refusal::DriverUnknown {
            reason: format!("version: {}; CUDA: {}", driver.version.reason(), driver.cuda.reason()),
        }),
    }
}

/// A choice that rests on an unchecked row says so.
fn doubt(stack: &StackRow, status: Status, trail: &mut Trail) {
    if status == Status::Unverified {
        let reason = format!("what {} contains was not checked", stack.build);
        trail.unverified(format!("variant {}", stack.variant), Code::UnverifiedRow, reason);
    }
}

/// Whether an engine can hand GPUs to a container. The run picks the engine, so this can only warn.
pub fn engine(target: &Target, facts: &Facts, trail: &mut Trail) {
    if *target == Target::Cpu {
        return;
    }
    let engines = [&facts.engines.docker, &facts.engines.podman];
    let known = engines.iter().any(|engine| engine.known().is_some());
    let unknown = engines.iter().any(|engine| matches!(engine, Fact::Unknown { .. }));
    match offers(facts).first() {
        Some(offer) => trail.passed("engine", Code::EngineOffersGpus, offer.to_string()),
        None if !known && unknown => trail.add(
            "engine",
            Outcome::Warned,
            Code::EngineUnknown,
            "whether an engine can hand over GPUs is not known",
        ),
        None => trail.add(
            "engine",
            Outcome::Warned,
            Code::ContainerToolkitMissing,
            "no engine here has NVIDIA's runtime or CDI devices: install the NVIDIA Container Toolkit",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Device, Plan, Refusals};
    use crate::probe::facts::{Bubblewrap, ContainerToolkit, Engine};
    use crate::probe::version::Capability;

    fn facts(hardware: &str) -> Facts {
        plan::pretend(hardware, &Tables::built_in()).unwrap()
    }

    fn planned(facts: &Facts, request: &Request, tables: &Tables) -> Result<Plan, Vec<Refusal>> {
        plan::plan(facts, request, tables).map_err(|Refusals { refusals, .. }| refusals)
    }

    fn codes(outcome: Result<Plan, Vec<Refusal>>) -> Vec<&'static str> {
        outcome.unwrap_err().iter().map(|refusal| refusal.code().name()).collect()
    }

    fn with_ptx() -> Tables {
        let mut tables = Tables::built_in();
        tables.wheels.stacks[0].rows[0].ptx = vec![Capability::new(12, 0)];
        tables
    }

    #[test]
    fn code_that_the_driver_compiles_needs_a_driver_as_new_as_the_toolkit() {
        let mut tables = with_ptx();
        tables.wheels.stacks[0].rows[0].cuda = "13.1".parse().unwrap();
        let mut future = facts("RTX 5090,driver=580.65.06");
        let Fact::Is(gpus) = &mut future.gpus else { panic!("pretended GPUs") };
        gpus[0].capability = Fact::Is(Capability::new(13, 0));
        assert_eq!(
            codes(planned(&future, &Request::default(), &tables)),
            ["ptx-needs-newer-driver"]
        );
        let newer = Facts { driver: facts("RTX 5090,driver=590.44.01").driver, ..future };
        let plan = planned(&newer, &Request::default(), &tables).unwrap();
        assert!(!plan.verified, "compute capability 13.0 is in no table");
    }

    #[test]
    fn without_a_version_the_driver_s_own_cuda_version_counts() {
        let mut unknown = facts("A100");
        let set = |facts: &mut Facts, cuda: Fact<crate::probe::version::CudaVersion>| {
            let version = Fact::unknown("no NVML");
            facts.driver = Fact::Is(Driver { version, cuda, trouble: None });
        };
        set(&mut unknown, Fact::Is("12.4".parse().unwrap()));
        let tables = Tables::built_in();
        let variant = planned(&unknown, &Request::default(), &tables).unwrap().variant;
        assert_eq!(variant, Variant::Cuda126);
        set(&mut unknown, Fact::unknown("no libcuda"));
        assert_eq!(codes(planned(&unknown, &Request::default(), &tables)), ["driver-unknown"]);
    }

    #[test]
    fn an_unchecked_row_makes_an_unverified_plan() {
        let mut tables = Tables::built_in();
        tables.wheels.stacks[0].status = Status::Unverified;
        let plan = planned(&facts("A100"), &Request::default(), &tables).unwrap();
        assert!(!plan.verified);
        assert!(plan.rules.iter().any(|rule| rule.code == Code::UnverifiedRow));
    }

    #[test]
    fn a_variant_that_was_asked_for_is_taken_or_refused() {
        let ask = |hardware: &str, variant| {
            let request = Request { variant: Some(variant), ..Default::default() };
            planned(&facts(hardware), &request, &Tables::built_in())
        };
        assert_eq!(ask("A100", Variant::Cuda126).unwrap().variant, Variant::Cuda126);
        assert_eq!(ask("A100", Variant::Cpu).unwrap().devices, Vec::<u32>::new());
        assert_eq!(codes(ask("V100", Variant::Cuda13)), ["arch-removed-in-cuda-13"]);
        assert_eq!(codes(ask("B200", Variant::Cuda126)), ["arch-not-in-image"]);
        assert_eq!(codes(ask("cpu", Variant::Cuda13)), ["no-gpu"]);
        assert_eq!(
            codes(ask("V100,driver=535.129.03", Variant::Cuda13)),
            ["arch-removed-in-cuda-13", "driver-too-old"]
        );
        let request = Request {
            variant: Some(Variant::Cpu),
            device: Device::Gpus(vec![0]),
            ..Default::default()
        };
        let outcome = planned(&facts("A100"), &request, &Tables::built_in());
        assert_eq!(codes(outcome), ["variant-not-for-device"]);
    }

    #[test]
    fn the_engine_s_means_are_told_but_decide_nothing() {
        let code = |facts: &Facts| {
            let plan = planned(facts, &Request::default(), &Tables::built_in()).unwrap();
            plan.rules.iter().find(|rule| rule.subject == "engine").unwrap().code
        };
        let mut facts = facts("A100");
        assert_eq!(code(&facts), Code::EngineUnknown);
        facts.engines.podman = Fact::absent("no socket");
        let mut docker = Engine {
            version: "28.2.2".into(),
            api: Fact::Is("1.50".into()),
            endpoint: "unix:///var/run/docker.sock".into(),
            storage_driver: Fact::Is("overlay2".into()),
            rootless: Fact::Is(false),
            nvidia_runtime: Fact::Is(false),
            cdi_devices: Vec::new(),
            cgroup_driver: None,
        };
        facts.engines.docker = Fact::Is(docker.clone());
        assert_eq!(code(&facts), Code::ContainerToolkitMissing);
        docker.nvidia_runtime = Fact::Is(true);
        let with_runtime = |docker: &Engine| {
            let mut facts = facts.clone();
            facts.engines.docker = Fact::Is(docker.clone());
            facts
        };
        assert_eq!(code(&with_runtime(&docker)), Code::EngineOffersGpus);
        facts.container_toolkit = Fact::Is(ContainerToolkit {
            version: Fact::Is("1.18.0".into()),
            cdi_devices: vec!["nvidia.com/gpu=all".into()],
            unreadable_specifications: Vec::new(),
        });
        assert_eq!(code(&facts), Code::ContainerToolkitMissing, "Docker has a list of its own");
        facts.engines.bubblewrap = Fact::Is(Bubblewrap {
            path: "/usr/bin/bwrap".into(),
            version: Fact::unknown("not asked"),
            works: Fact::Is(true),
        });
        assert_eq!(code(&facts), Code::EngineOffersGpus);
    }
}
