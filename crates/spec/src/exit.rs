//! How the trainer's process ends where 0 for done, 1 for failed and 2 for bad usage don't say enough.
//! ybox reads these statuses, and ends with some of them itself.

/// Memory ran out.
pub const OUT_OF_MEMORY: u8 = 3;
/// The GPU that was asked for can't be used.
pub const NO_GPU: u8 = 4;
/// Saved and stopped because its time is spent: that of `timeout(1)`.
pub const OUT_OF_TIME: u8 = 124;
/// Saved and stopped on request, as shells count Ctrl-C.
pub const INTERRUPTED: u8 = 130;
