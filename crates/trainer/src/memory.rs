//! How much memory this process uses.

use std::fs;

/// Resident bytes, or 0 where the kernel does not say.
pub fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    // Pages of x86-64 are 4 KiB.
    pages.map_or(0, |pages| pages * 4096)
}
