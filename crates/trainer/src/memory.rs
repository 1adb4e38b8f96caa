//! How much memory this process uses, and how much it may use.

use std::fs;

/// Resident bytes, or 0 where the kernel does not say.
pub fn resident_bytes() -> u64 {
    pages(1)
}

/// Memory in use and its limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub used: u64,
    pub limit: u64,
}

/// Of the limits on this process the one that is nearest: of the machine, the container, or the
/// address space. `None` where the kernel does not say.
pub fn room() -> Option<Room> {
    let resident = [machine_bytes(), container_bytes()].into_iter().flatten().min();
    let resident = resident.map(|limit| Room { used: resident_bytes(), limit });
    let addresses = address_bytes().map(|limit| Room { used: pages(0), limit });
    let rooms = [resident, addresses].into_iter().flatten();
    rooms.min_by_key(|room| room.limit.saturating_sub(room.used))
}

/// Field `index` of this process's sizes.
fn pages(index: usize) -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(index).and_then(|field| field.parse::<u64>().ok());
    // Pages of x86-64 are 4 KiB.
    pages.map_or(0, |pages| pages * 4096)
}

fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
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
