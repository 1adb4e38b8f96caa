//! The device of a run: how it is written, what an image is made for, and what is said about it.

use ybox_spec::config::{Launch, PeerAccess};
use ybox_spec::overrides::ConfigError;

use super::settle::Devices;
use crate::image::{Store, StoredImage};
use crate::plan::{Device, Variant};
use crate::ui::Failure;

/// The device of `launch`, which is then written in one way; and what to say where it was not.
pub fn take(launch: &mut Launch) -> Result<(Device, Option<String>), ConfigError> {
    let parsed = launch.device.parse::<Device>();
    let device = parsed.map_err(|reason| ConfigError::Value { key: "device".into(), reason })?;
    let written = std::mem::replace(&mut launch.device, device.to_string());
    let note = (written != launch.device)
        .then(|| format!("note: device={written} is read as device={}", launch.device));
    Ok((device, note))
}

/// What `image` is made for, by its label; an image without one is for the CPU.
pub fn variant(store: &Store, image: &StoredImage) -> Result<Variant, Failure> {
    let config = store.config(image)?;
    let labels = config.config().as_ref().and_then(|config| config.labels().as_ref());
    let label = labels.and_then(|labels| labels.get("ybox.variant")).map_or("", String::as_str);
    let named = |variant: &Variant| {
        label
            .strip_prefix(variant.name())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    Ok(Variant::ALL.into_iter().find(named).unwrap_or(Variant::Cpu))
}

/// Whether several GPUs reach each other, as it will stand in the record.
pub fn settle_peers(launch: &mut Launch, devices: &Devices) {
    if launch.p2p == PeerAccess::Auto && devices.gpus.len() > 1 {
        launch.p2p = if devices.apart { PeerAccess::Off } else { PeerAccess::On };
    }
}

/// What to say about GPUs that a run has and does not use.
pub fn unused(devices: &Devices) -> Option<String> {
    let (first, others) = devices.gpus.split_first()?;
    (!others.is_empty())
        .then(|| format!("note: a run computes on one device: of its GPUs, on {}", first.index))
}

/// What the trainer is told: a GPU, counted among those that its container has.
pub fn arguments(devices: &Devices) -> Vec<String> {
    if devices.gpus.is_empty() { Vec::new() } else { vec!["--device".into(), "cuda:0".into()] }
}

/// What a container of `devices` has in its environment. CUDA then counts GPUs as `nvidia-smi` does.
pub fn environment(launch: &Launch, devices: &Devices) -> Vec<(String, String)> {
    if devices.gpus.is_empty() {
        return Vec::new();
    }
    let off = (launch.p2p == PeerAccess::Off).then_some(("NCCL_P2P_DISABLE", "1"));
    let variables = [("CUDA_DEVICE_ORDER", "PCI_BUS_ID")].into_iter().chain(off);
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Gpu;

    #[test]
    fn a_device_is_written_in_one_way_and_the_change_is_said() {
        let taken = |device: &str| {
            let mut launch = Launch { device: device.into(), ..Launch::default() };
            let (_, note) = take(&mut launch).unwrap();
            (launch.device, note)
        };
        assert_eq!(taken("auto"), ("auto".into(), None));
        assert_eq!(taken("0,1"), ("0,1".into(), None));
        let note = "note: device=cuda:0,1 is read as device=0,1";
        assert_eq!(taken("cuda:0,1"), ("0,1".into(), Some(note.into())));
        assert_eq!(taken("all").0, "cuda");
        assert!(take(&mut Launch { device: "gpu".into(), ..Launch::default() }).is_err());
    }

    #[test]
    fn nccl_is_told_what_stands_in_the_record() {
        let gpu = |index| Gpu { index, uuid: None };
        let told = |p2p, apart, count| {
            let gpus = (0..count).map(gpu).collect();
            let devices = Devices { gpus, apart, ..Devices::CPU };
            let mut launch = Launch { p2p, ..Launch::default() };
            settle_peers(&mut launch, &devices);
            let told = environment(&launch, &devices).iter().any(|(n, _)| n == "NCCL_P2P_DISABLE");
            assert_eq!(told, launch.p2p == PeerAccess::Off);
            launch.p2p
        };
        assert_eq!(told(PeerAccess::Auto, true, 2), PeerAccess::Off);
        assert_eq!(told(PeerAccess::Auto, false, 2), PeerAccess::On);
        assert_eq!(told(PeerAccess::Auto, false, 1), PeerAccess::Auto);
        assert_eq!(told(PeerAccess::On, true, 2), PeerAccess::On);
        assert_eq!(told(PeerAccess::Off, false, 2), PeerAccess::Off);
        assert!(environment(&Launch::default(), &Devices::CPU).is_empty());
    }
}
