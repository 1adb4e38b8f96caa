//! Settling what `auto` means on this host, by `plan`'s rules: which devices, and how they compute.

use ybox_spec::amp::Amp;
use ybox_spec::config::{Compute, CublasWorkspace, Numerics};

use crate::engine::Gpu;
use crate::plan::{self, Device, Dtype, HandOver, Refusal, Tables, Variant};
use crate::probe::Facts;
use crate::probe::facts::Memory;
use crate::ui::Failure;

/// Bytes of `/dev/shm`: enough for one device, and what NCCL's manual advises for several.
const SHM: u64 = 64 << 20;
const SHM_OF_SEVERAL: u64 = 1 << 30;

/// What a run says of its devices.
#[derive(Debug, Clone)]
pub struct Asked {
    pub device: Device,
    /// That of the image, if it is known already.
    pub variant: Option<Variant>,
    pub compute: Compute,
    pub amp: Amp,
}

impl Asked {
    /// Whether it means a GPU: by its device, or by an image that is made for one.
    fn for_gpu(&self) -> bool {
        let cuda = self.variant.is_some_and(|variant| variant != Variant::Cpu);
        self.device.is_gpu() || (self.device == Device::Auto && cuda)
    }
}

/// The same with nothing left open.
#[derive(Debug, Clone)]
pub struct Settled {
    pub variant: Variant,
    pub compute: Compute,
    pub amp: Amp,
    pub devices: Devices,
}

/// The devices of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Empty for the CPU.
    pub gpus: Vec<Gpu>,
    /// Whether something stands between the GPUs' memories.
    pub apart: bool,
    /// Bytes of `/dev/shm` that they need.
    pub shm_size: u64,
}

impl Devices {
    pub const CPU: Self = Self { gpus: Vec::new(), apart: false, shm_size: SHM };
}

/// `asked` with nothing left open, or the plan's refusal.
pub fn settle(facts: &Facts, asked: &Asked) -> Result<Settled, Failure> {
    let request = plan::Request {
        variant: asked.variant,
        device: asked.device.clone(),
        attention: asked.compute.attention,
        dtype: asked.for_gpu().then(|| dtype(asked.amp)).flatten(),
        numerics: Some(asked.compute.numerics),
    };
    match plan::plan(facts, &request, &Tables::built_in()) {
        Ok(plan) => {
            let (attention, numerics) = (plan.attention, plan.numerics);
            let compute = Compute { attention, numerics, ..asked.compute };
            check_workspace(compute.cublas_workspace, !plan.devices.is_empty())?;
            let amp = settle_amp(asked.amp, plan.dtype, numerics)?;
            let devices = devices(facts, &plan.devices, plan.p2p_disable)?;
            Ok(Settled { variant: plan.variant, compute, amp, devices })
        }
        Err(refused) => Err(refused.refusals.first().map_or_else(
            || Failure::new(refused.to_string(), 1),
            |first| failure(first, asked.for_gpu()),
        )),
    }
}

/// A setting of GPUs would change the hash of a run without one, and nothing else of it.
fn check_workspace(workspace: CublasWorkspace, on_gpu: bool) -> Result<(), Failure> {
    if on_gpu || workspace.is_default() {
        return Ok(());
    }
    let key = CublasWorkspace::KEY;
    let why = format!("{key}={} is for GPUs, and this run computes on the CPU", workspace.name());
    Err(Failure::new(why, 1).hint(format!("leave {key} out")))
}

/// A refusal for the sake of a GPU comes with its code, which `docs/gpu.md` explains.
fn failure(refusal: &Refusal, for_gpu: bool) -> Failure {
    let what = match for_gpu {
        true => format!("{}: {}", refusal.code(), refusal.sentence()),
        false => refusal.sentence(),
    };
    Failure::new(what, 1).hint(refusal.remedy())
}

/// The number format that mixed precision asks the kernels to have.
fn dtype(amp: Amp) -> Option<Dtype> {
    match amp {
        Amp::Auto => None,
        Amp::Off => Some(Dtype::Fp32),
        Amp::Bf16 => Some(Dtype::Bf16),
        Amp::Fp16 => Some(Dtype::Fp16),
    }
}

fn devices(facts: &Facts, indexes: &[u32], apart: bool) -> Result<Devices, Failure> {
    let shown = facts.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let uuid = |index| shown.iter().find(|gpu| gpu.index == index)?.uuid.known().cloned();
    let gpus: Vec<_> = indexes.iter().map(|&index| Gpu { index, uuid: uuid(index) }).collect();
    let shm_size = if gpus.len() > 1 { SHM_OF_SEVERAL } else { SHM };
    let have = memory(&facts.memory);
    match have.filter(|have| gpus.len() > 1 && *have / 2 < shm_size) {
        Some(have) => {
            let reason = HandOver::ShmTooSmall { gpus: gpus.len(), need: shm_size, have };
            Err(failure(&Refusal::HandOver(reason), true))
        }
        None => Ok(Devices { gpus, apart, shm_size }),
    }
}

/// Bytes that there are for a container.
fn memory(memory: &Memory) -> Option<u64> {
    let known = [&memory.total, &memory.limit].into_iter().filter_map(|fact| fact.known());
    known.min().copied()
}

/// `auto` takes bf16 where the device's own number format is that.
fn settle_amp(asked: Amp, device: Dtype, numerics: Numerics) -> Result<Amp, Failure> {
    let amp = match asked {
        Amp::Auto => device.of_amp_auto().amp(),
        asked => asked,
    };
    if amp != Amp::Off && numerics == Numerics::Portable {
        let why = format!(
            "portable numerics promise the same bits on any x86-64 CPU; amp={} computes by what the \
             CPU at hand has",
            amp.name()
        );
        return Err(Failure::new(why, 1).hint("use numerics=fast, or amp=off"));
    }
    Ok(amp)
}

/// What to say about GPUs that stay unused by a run on `devices`.
pub fn unused_gpus(facts: &Facts, devices: &Devices) -> Option<String> {
    let count = facts.gpus.known().map_or(0, Vec::len);
    (count > 0 && devices.gpus.is_empty())
        .then(|| "this machine's GPUs are not used: the image computes on the CPU".to_owned())
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::AttentionPath;

    use super::*;
    use crate::probe::Fact;

    fn asked(attention: AttentionPath) -> Asked {
        Asked {
            device: Device::Cpu,
            variant: Some(Variant::Cpu),
            compute: Compute { attention, ..Compute::default() },
            amp: Amp::Auto,
        }
    }

    fn on(hardware: &str, attention: AttentionPath) -> Result<Compute, Failure> {
        let facts = plan::pretend(hardware, &Tables::built_in()).unwrap();
        settle(&facts, &asked(attention)).map(|settled| settled.compute)
    }

    fn on_gpus(facts: &Facts, device: &str, amp: Amp) -> Result<Settled, Failure> {
        let compute = Compute { numerics: Numerics::Fast, ..Compute::default() };
        settle(facts, &Asked { device: device.parse().unwrap(), variant: None, compute, amp })
    }

    #[test]
    fn gpus_come_with_their_uuids_and_the_variant_that_serves_them() {
        let mut facts = plan::pretend("2xA100", &Tables::built_in()).unwrap();
        let Fact::Is(gpus) = &mut facts.gpus else { panic!("pretended GPUs") };
        gpus[1].uuid = Fact::Is("GPU-b".into());
        let settled = on_gpus(&facts, "0,1", Amp::Auto).unwrap();
        let gpus = [Gpu { index: 0, uuid: None }, Gpu { index: 1, uuid: Some("GPU-b".into()) }];
        assert_eq!(settled.devices.gpus, gpus);
        assert_eq!(settled.devices.shm_size, SHM_OF_SEVERAL);
        assert_eq!((settled.variant, settled.amp), (Variant::Cuda13, Amp::Bf16));
        let one = on_gpus(&facts, "1", Amp::Off).unwrap();
        assert_eq!((one.devices.gpus.len(), one.devices.shm_size), (1, SHM));
        assert_eq!(one.compute.attention, AttentionPath::Efficient, "flash computes in halves");
    }

    #[test]
    fn several_gpus_need_memory_to_talk_through() {
        let mut facts = plan::pretend("2xA100", &Tables::built_in()).unwrap();
        facts.memory.total = Fact::Is(64 << 30);
        facts.memory.limit = Fact::Is(2 << 30);
        assert!(on_gpus(&facts, "0,1", Amp::Auto).is_ok());
        facts.memory.limit = Fact::Is((2 << 30) - 2);
        let failure = on_gpus(&facts, "0,1", Amp::Auto).unwrap_err();
        assert!(
            failure.what.starts_with("shm-too-small: 2 GPUs talk through 1024 MiB"),
            "{failure}"
        );
        assert!(on_gpus(&facts, "0", Amp::Auto).is_ok());
    }

    #[test]
    fn a_refusal_for_the_sake_of_a_gpu_has_its_code() {
        let facts = plan::pretend("T4,driver=470.256.02", &Tables::built_in()).unwrap();
        let failure = on_gpus(&facts, "0", Amp::Auto).unwrap_err();
        assert!(failure.what.starts_with("driver-too-old: "), "{failure}");
        assert_eq!(failure.exit, 1);
    }

    #[test]
    fn an_image_for_gpus_says_what_a_device_that_is_left_open_means() {
        let on = |hardware: &str, amp| {
            let facts = plan::pretend(hardware, &Tables::built_in()).unwrap();
            let compute = Compute { numerics: Numerics::Fast, ..Compute::default() };
            let variant = Some(Variant::Cuda13);
            settle(&facts, &Asked { device: Device::Auto, variant, compute, amp })
        };
        let off = on("A100", Amp::Off).unwrap();
        assert_eq!((off.compute.attention, off.amp), (AttentionPath::Efficient, Amp::Off));
        let auto = on("A100", Amp::Auto).unwrap();
        assert_eq!((auto.compute.attention, auto.amp), (AttentionPath::Flash, Amp::Bf16));
        let refused = on("T4", Amp::Bf16).unwrap_err();
        assert!(refused.what.starts_with("dtype-not-on-arch: "), "{refused}");
    }

    #[test]
    fn the_workspace_of_cublas_is_a_gpu_s_alone() {
        let facts = plan::pretend("T4", &Tables::built_in()).unwrap();
        let on = |device: Device| {
            let cublas_workspace = CublasWorkspace::Small;
            let numerics = Numerics::Fast;
            let compute = Compute { numerics, cublas_workspace, ..Compute::default() };
            settle(&facts, &Asked { device, variant: None, compute, amp: Amp::Auto })
        };
        let settled = on(Device::Cuda).unwrap();
        assert_eq!(settled.compute.cublas_workspace, CublasWorkspace::Small);
        let refused = on(Device::Cpu).unwrap_err();
        assert!(refused.what.starts_with("cublas_workspace=:16:8 is for GPUs"), "{refused}");
    }

    #[test]
    fn auto_becomes_a_path_of_the_cpu_and_the_rest_stays() {
        for hardware in ["cpu", "T4"] {
            let compute = on(hardware, AttentionPath::Auto).unwrap();
            assert_eq!(compute.attention, AttentionPath::Flash);
            assert_eq!((compute.numerics, compute.threads), (Numerics::Portable, 2));
        }
        assert_eq!(on("cpu", AttentionPath::Safe).unwrap().attention, AttentionPath::Safe);
    }

    #[test]
    fn a_path_that_only_gpus_have_is_refused_with_what_to_do() {
        let failure = on("cpu", AttentionPath::Efficient).unwrap_err();
        assert_eq!(failure.exit, 1);
        assert!(failure.hint.is_some(), "{failure}");
    }

    #[test]
    fn mixed_precision_follows_the_number_format_of_the_device() {
        let settled = |amp, device| settle_amp(amp, device, Numerics::Fast).unwrap();
        for (device, expected) in
            [(Dtype::Fp32, Amp::Off), (Dtype::Fp16, Amp::Off), (Dtype::Bf16, Amp::Bf16)]
        {
            assert_eq!(settled(Amp::Auto, device), expected, "{device}");
            assert_eq!(settled(Amp::Off, device), Amp::Off);
            assert_eq!(settled(Amp::Bf16, device), Amp::Bf16);
            assert_eq!(settled(Amp::Fp16, device), Amp::Fp16);
        }
    }

    #[test]
    fn mixed_precision_is_refused_where_the_bits_must_hold_on_any_cpu() {
        for amp in [Amp::Bf16, Amp::Fp16] {
            let settled = |numerics| settle_amp(amp, Dtype::Fp32, numerics);
            assert!(settled(Numerics::Fast).is_ok());
            let failure = settled(Numerics::Portable).unwrap_err();
            assert!(failure.to_string().contains(amp.name()), "{failure}");
            assert_eq!(failure.hint.as_deref(), Some("use numerics=fast, or amp=off"));
        }
        let auto = settle_amp(Amp::Auto, Dtype::Fp32, Numerics::Portable);
        assert_eq!(auto.unwrap(), Amp::Off);
    }

    #[test]
    fn gpus_are_not_passed_over_in_silence() {
        let facts = |hardware| plan::pretend(hardware, &Tables::built_in()).unwrap();
        assert!(unused_gpus(&facts("T4"), &Devices::CPU).is_some());
        assert_eq!(unused_gpus(&facts("cpu"), &Devices::CPU), None);
        let gpus = vec![Gpu { index: 0, uuid: None }];
        assert_eq!(unused_gpus(&facts("T4"), &Devices { gpus, ..Devices::CPU }), None);
    }
}
