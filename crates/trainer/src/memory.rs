//! How much memory this process uses, and how much more there is for it.

use std::fs;
use std::path::Path;

use tch::Device;
use torch_ext::gpu_memory;
use ybox_spec::memory::MemorySize;

/// Resident bytes, or 0 where the kernel does not say.
pub fn resident_bytes() -> u64 {
    field("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// What is said of a training's memory: resident bytes, or the most that libtorch took of a GPU. 0
/// where that can't be told.
pub fn in_use(device: Device) -> u64 {
    match device {
        Device::Cuda(index) => gpu_memory(index).map_or(0, |gpu| gpu.peak_reserved),
        _ => resident_bytes(),
    }
}

/// What tensors hold now: resident bytes, or what libtorch gave out of a GPU.
pub fn held_bytes(device: Device) -> u64 {
    match device {
        Device::Cuda(index) => gpu_memory(index).map_or(0, |gpu| gpu.allocated),
        _ => resident_bytes(),
    }
}

/// The most bytes that were ever in use, or 0 where that can't be told.
pub fn peak_bytes(device: Device) -> u64 {
    match device {
        Device::Cuda(_) => in_use(device),
        _ => field("/proc/self/status", "VmHWM:").unwrap_or(0),
    }
}

/// Bytes that tensors on `device` may still take: what is free of a GPU; on a CPU what the machine
/// has left, and what this process's control group allows.
pub fn available_bytes(device: Device) -> u64 {
    if let Device::Cuda(index) = device {
        return gpu_memory(index).map_or(0, |gpu| gpu.free);
    }
    let machine = field("/proc/meminfo", "MemAvailable:").unwrap_or(0);
    left_in_group(Path::new("/sys/fs/cgroup")).map_or(machine, |left| machine.min(left))
}

/// Bytes that tensors on `device` may still take, if they may take at most `cap` in all.
pub fn available(cap: Option<MemorySize>, device: Device) -> u64 {
    available_under(cap, available_bytes(device), device)
}

/// Bytes that tensors on `device` may still take, of `there_is`, if they may take at most `cap` in
/// all; on a CPU that is for the whole process.
pub fn available_under(cap: Option<MemorySize>, there_is: u64, device: Device) -> u64 {
    let taken = if device.is_cuda() { 0 } else { resident_bytes() };
    cap.map_or(there_is, |cap| cap.0.saturating_sub(taken).min(there_is))
}

/// Memory in use and its limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub used: u64,
    pub limit: u64,
}

impl Room {
    /// Whether a sixteenth or less is left.
    pub fn is_full(self) -> bool {
        self.limit.saturating_sub(self.used) <= self.limit / 16
    }
}

/// Of the limits on this process the one that is nearest: of the machine, the container, or the
/// address space. `None` where the kernel does not say.
pub fn room() -> Option<Room> {
    let machine = field("/proc/meminfo", "MemTotal:");
    let resident = [machine, container_bytes()].into_iter().flatten().min();
    let resident = resident.map(|limit| Room { used: resident_bytes(), limit });
    let mapped = field("/proc/self/status", "VmSize:").unwrap_or(0);
    let addresses = address_bytes().map(|limit| Room { used: mapped, limit });
    let rooms = [resident, addresses].into_iter().flatten();
    rooms.min_by_key(|room| room.limit.saturating_sub(room.used))
}

/// Both versions of control groups; without a limit it is a word, or beyond any machine.
fn container_bytes() -> Option<u64> {
    ["memory.max", "memory/memory.limit_in_bytes"].into_iter().find_map(|name| {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    })
}

fn address_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the limit of a control group leaves; nothing where it has none. The files of both versions
/// of control groups, as a container sees its own.
fn left_in_group(folder: &Path) -> Option<u64> {
    let number =
        |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let left = |limit, used| Some(number(limit)?.saturating_sub(number(used)?));
    left("memory.max", "memory.current")
        .or_else(|| left("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
}

/// A line like `VmRSS:   12 kB`, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_this_process_holds() {
        assert!(resident_bytes() > 1 << 20);
        assert!(peak_bytes(Device::Cpu) >= held_bytes(Device::Cpu) / 2);
        assert!(available_bytes(Device::Cpu) > 0);
        assert!(in_use(Device::Cpu) > 1 << 20);
    }

    #[test]
    fn room_is_full_when_nearly_all_is_used() {
        let full = |used| Room { used, limit: 160 }.is_full();
        assert_eq!([149, 150, 170].map(full), [false, true, true]);
    }

    #[test]
    fn the_limit_of_a_group_counts_less_what_it_uses() {
        let group = tempfile::tempdir().unwrap();
        assert_eq!(left_in_group(group.path()), None);
        fs::write(group.path().join("memory.current"), "300\n").unwrap();
        fs::write(group.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(left_in_group(group.path()), None);
        fs::write(group.path().join("memory.max"), "1000\n").unwrap();
        assert_eq!(left_in_group(group.path()), Some(700));
        fs::write(group.path().join("memory.current"), "3000\n").unwrap();
        assert_eq!(left_in_group(group.path()), Some(0));
    }
}
