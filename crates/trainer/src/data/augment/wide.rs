//! Runs a loop in the form that is compiled for the widest vectors that the CPU has. Arithmetic is
//! neither fused nor reordered by that: the bits are the same in every form.

use std::arch::is_x86_feature_detected;

/// Work that is compiled once for each width.
pub(super) trait Loop {
    /// Must be `#[inline(always)]`, or it is compiled only once.
    fn run(self);
}

pub(super) fn run(work: impl Loop) {
    if is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: the CPU has what the function is compiled for.
        unsafe { with_avx512(work) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has what the function is compiled for.
        unsafe { with_avx2(work) }
    } else {
        work.run();
    }
}

#[target_feature(enable = "avx512bw,avx512dq,avx512vl")]
fn with_avx512(work: impl Loop) {
    work.run();
}

#[target_feature(enable = "avx2")]
fn with_avx2(work: impl Loop) {
    work.run();
}
