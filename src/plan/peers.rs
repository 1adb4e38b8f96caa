//! Whether several GPUs may reach each other's memory directly. Where they can't, or an IOMMU stands
//! between them, NCCL hangs or corrupts instead of saying so, and is told not to try.

use super::code::Code;
use super::target::Target;
use super::{Outcome, Trail};
use crate::probe::Facts;
use crate::probe::facts::Gpu;

/// Whether NCCL is to be kept from it.
pub fn disable(target: &Target, facts: &Facts, trail: &mut Trail) -> bool {
    let indexes = target.indexes();
    if indexes.len() < 2 {
        return false;
    }
    match obstacle(&indexes, facts) {
        Some(reason) => {
            trail.add("peer access", Outcome::Warned, Code::PeerAccessOff, reason);
            true
        }
        None => {
            let reason = "nothing keeps the GPUs from each other's memory";
            trail.passed("peer access", Code::PeerAccess, reason);
            false
        }
    }
}

fn obstacle(indexes: &[u32], facts: &Facts) -> Option<String> {
    let both = |gpus: &[u32; 2]| gpus.iter().all(|index| indexes.contains(index));
    if let Some(apart) = facts.apart.iter().find(|apart| both(&apart.gpus)) {
        let [one, other] = apart.gpus;
        return Some(format!(
            "the driver gives GPU {one} no access to GPU {other} ({}): NCCL_P2P_DISABLE=1",
            apart.reason
        ));
    }
    let gpus = facts.gpus.known()?.iter().filter(|gpu| indexes.contains(&gpu.index));
    let translated = gpus.into_iter().find(|gpu| is_translated(gpu, facts))?;
    Some(format!(
        "the IOMMU translates what GPU {} reads, which peer access can't pass: NCCL_P2P_DISABLE=1",
        translated.index
    ))
}

fn is_translated(gpu: &Gpu, facts: &Facts) -> bool {
    let devices = facts.nvidia_devices.known().map(Vec::as_slice).unwrap_or_default();
    let device = devices.iter().find(|device| gpu.pci.known() == Some(&device.pci));
    let domain = device.and_then(|device| device.iommu.as_deref());
    domain.is_some_and(|domain| domain.starts_with("DMA"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Device, Request, Tables};
    use crate::probe::Fact;
    use crate::probe::facts::Apart;

    fn disabled(facts: &Facts, device: Device) -> bool {
        let request = Request { device, ..Default::default() };
        plan::plan(facts, &request, &Tables::built_in()).unwrap().p2p_disable
    }

    fn three() -> Facts {
        plan::pretend("3xA100", &Tables::built_in()).unwrap()
    }

    #[test]
    fn only_the_gpus_that_are_used_count() {
        let mut facts = three();
        assert!(!disabled(&facts, Device::Cuda));
        facts.apart = vec![Apart { gpus: [0, 2], reason: "ChipsetNotSupported".into() }];
        assert!(disabled(&facts, Device::Cuda));
        assert!(disabled(&facts, Device::Gpus(vec![0, 2])));
        assert!(!disabled(&facts, Device::Gpus(vec![0, 1])));
        assert!(!disabled(&facts, Device::Gpus(vec![2])));
    }

    #[test]
    fn an_iommu_that_translates_stands_between_gpus() {
        for (domain, expected) in [("DMA", true), ("DMA-FQ", true), ("identity", false)] {
            let mut facts = three();
            let Fact::Is(devices) = &mut facts.nvidia_devices else { panic!("pretended") };
            devices[1].iommu = Some(domain.into());
            let Fact::Is(gpus) = &mut facts.gpus else { panic!("pretended") };
            for (gpu, device) in gpus.iter_mut().zip(devices) {
                gpu.pci = Fact::Is(device.pci.clone());
            }
            assert_eq!(disabled(&facts, Device::Cuda), expected, "{domain}");
        }
    }
}
