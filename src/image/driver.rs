//! The libraries of NVIDIA's driver. They belong to the kernel module of the machine that runs an
//! image, and the container toolkit hands them to its containers: no image may bring them.

use super::misfit::Misfit;

/// Those that others are linked against, and how their functions' names begin.
const LINKED: [(&str, &str); 2] = [("libcuda.so.1", "cu"), ("libnvidia-ml.so.1", "nvml")];

/// Whether the driver brings the library of that name.
pub fn brings(library: &str) -> bool {
    LINKED.iter().any(|(name, _)| *name == library)
}

/// Whether a library of the driver is the one to define a symbol.
pub fn defines(library: &str, symbol: &str) -> bool {
    LINKED.iter().any(|(name, prefix)| *name == library && symbol.starts_with(prefix))
}

/// A file of the image that has no business there.
pub fn brought(path: &str) -> Option<Misfit> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let drivers = ["libcuda.so", "libcudadebugger.so", "libnvidia-"];
    let is_drivers = drivers.iter().any(|start| name.starts_with(start));
    is_drivers.then(|| Misfit::Driver { file: path.into() })
}
