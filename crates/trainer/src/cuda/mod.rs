//! Making a GPU usable: the one program serves images with and without CUDA, so libtorch's CUDA part
//! is opened when a GPU is asked for. Whether the host can give one was ybox's question; it is asked
//! again here, in the container, since not every engine keeps to what an image demands of a host.

mod driver;
mod refusal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::{Cuda, Device, Kind, Tensor};
use ybox_spec::config::CublasWorkspace;

pub use driver::Gpu;
pub use refusal::Refusal;

/// How long a driver may take to answer. A cold one, with many GPUs and no persistence daemon, takes
/// several seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LIBRARY: &str = "libtorch_cuda.so";

/// What a GPU computes with beside the config's own settings, from before the first call of CUDA.
/// NCCL gives the same bits each time when it may not choose how to add up.
const ENVIRONMENT: [(&str, &str); 8] = [
    // As nvidia-smi and ybox count, not the fastest first.
    ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    ("NCCL_ALGO", "allreduce:tree"),
    ("NCCL_PROTO", "Simple"),
    ("NCCL_MIN_NCHANNELS", "1"),
    ("NCCL_MAX_NCHANNELS", "1"),
    ("NCCL_NTHREADS", "1"),
    ("NCCL_NVLS_ENABLE", "0"),
    ("NCCL_COLLNET_ENABLE", "0"),
];

/// Makes GPU `index` usable in this process, and gives what its driver says of it. Comes once, and
/// before anything of libtorch's that asks whether there is CUDA: it remembers the first answer.
pub fn prepare(
    index: usize,
    patience: Duration,
    workspace: CublasWorkspace,
) -> Result<Gpu, Refusal> {
    for (name, value) in environment(workspace) {
        // SAFETY: no other thread runs yet that could read the environment: this is called before
        // the driver is asked, before the loader starts and before the first libtorch call.
        unsafe { std::env::set_var(name, value) };
    }
    let gpu = check_driver(index, patience)?;
    torch_ext::load(&library())
        .map_err(|e| Refusal::LibraryMissing { reason: e.reason().into() })?;
    // Makes the device's context, without which its memory can't be asked about.
    let used = || Tensor::f_zeros([1], (Kind::Float, Device::Cuda(index))).is_ok();
    match Cuda::is_available() && index < Cuda::device_count().max(0) as usize && used() {
        true => Ok(gpu),
        false => Err(Refusal::CudaNotThere),
    }
}

fn environment(workspace: CublasWorkspace) -> impl Iterator<Item = (&'static str, &'static str)> {
    ENVIRONMENT.into_iter().chain([("CUBLAS_WORKSPACE_CONFIG", workspace.name())])
}

/// What the driver says of GPU `index`, before anything of CUDA is opened.
fn check_driver(index: usize, patience: Duration) -> Result<Gpu, Refusal> {
    let driver = driver::ask(patience).map_err(|none| Refusal::of(none, patience))?;
    // Without the runtime library nothing of CUDA is there; opening the rest tells so by name.
    let runtime = driver::runtime().unwrap_or_default();
    refusal::check(&driver, runtime, index).cloned()
}

/// Beside libtorch's other parts: `lib` next to the `bin` that holds this program. Where there is no
/// such folder, the loader looks for it.
fn library() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| {
        let lib = program.parent()?.parent()?.join("lib").join(LIBRARY);
        lib.exists().then_some(lib)
    });
    beside.unwrap_or_else(|| Path::new(LIBRARY).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cublas_is_told_what_the_config_says() {
        for (workspace, value) in
            [(CublasWorkspace::Large, ":4096:8"), (CublasWorkspace::Small, ":16:8")]
        {
            let mut told = environment(workspace).filter(|(name, _)| name.starts_with("CUBLAS"));
            assert_eq!(told.next(), Some(("CUBLAS_WORKSPACE_CONFIG", value)));
        }
    }
}
