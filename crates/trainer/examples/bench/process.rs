//! What the kernel says of this process, the numerics of a measurement, and medians.

use std::fs;
use std::time::{Duration, Instant};

use tch::Device;
use ybox_spec::config::{AttentionPath, Compute, Numerics};
use ytrain::numerics;

use crate::Outcome;

/// Numerics `fast` with `threads` threads, as a run has them.
pub fn fast(threads: u32) -> Outcome {
    let attention = AttentionPath::Flash;
    Ok(numerics::apply(
        &Compute { attention, numerics: Numerics::Fast, threads, ..Compute::default() },
        Device::Cpu,
    )?)
}

/// Resident memory now, and its peak since [`forget_peak`], in MiB.
pub fn resident_and_peak() -> [f64; 2] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    })
}

/// Makes the peak what is resident now.
pub fn forget_peak() -> Outcome {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// The median duration of `count` calls in milliseconds, after `warmup` more.
pub fn median_ms(warmup: usize, count: usize, mut call: impl FnMut()) -> f64 {
    (0..warmup).for_each(|_| call());
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
