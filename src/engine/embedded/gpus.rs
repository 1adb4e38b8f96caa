//! GPUs in the embedded runner: what the CDI specifications say that a container with them has, and
//! what their hooks would do of it. Hooks themselves are other people's programs, and not run.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cdi::{self, Edits, HostFile, MissingDevice};
use crate::engine::{Container, EngineError, Gpu, Mount};
use crate::image::soname;
use crate::plan::HandOver;

/// Where Debian's loader looks by itself.
const LOADER_FOLDERS: [&str; 4] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];

/// What a container has of the host for its GPUs.
#[derive(Debug, Default)]
pub struct HandedOver {
    pub environment: Vec<(String, String)>,
    /// Device nodes: on the host, and inside.
    pub nodes: Vec<(PathBuf, PathBuf)>,
    pub mounts: Vec<Mount>,
    /// Symbolic links: what they say, and where they are.
    pub links: Vec<(String, PathBuf)>,
}

/// What `container` needs for its GPUs, by the specifications below `root`.
pub fn hand_over(container: &Container, root: &Path) -> Result<HandedOver, EngineError> {
    match edits(&container.gpus, root)? {
        Some(edits) => Ok(handed_over(edits)),
        None => Ok(HandedOver::default()),
    }
}

/// The hooks that are not run.
pub fn notes(container: &Container, root: &Path) -> Vec<String> {
    let Ok(Some(edits)) = edits(&container.gpus, root) else { return Vec::new() };
    match edits.hooks.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "note: hooks of the CDI specification are not run: {}; ybox links the driver's libraries \
             itself",
            edits.hooks.join(", ")
        )],
    }
}

fn edits(gpus: &[Gpu], root: &Path) -> Result<Option<Edits>, EngineError> {
    let Some(first) = gpus.first() else { return Ok(None) };
    let specifications = cdi::nvidia_specifications(root);
    if specifications.is_empty() {
        let (folders, unreadable) = (cdi::folders(), cdi::unreadable(root));
        return Err(EngineError::Gpu(HandOver::NoCdiSpec { folders, unreadable }));
    }
    let have = cdi::names(&specifications);
    let missing =
        |device| EngineError::Gpu(HandOver::DeviceNotInSpec { device, have: have.clone() });
    let names: Result<Vec<_>, _> = gpus.iter().map(|gpu| gpu.cdi_name(&have)).collect();
    let edits = cdi::edits(&specifications, &names.map_err(missing)?)
        .map_err(|MissingDevice(device)| missing(device))?;
    if let Some(path) = edits.missing_file() {
        let device = first.cdi_name(&have).unwrap_or_default();
        let path = path.display().to_string();
        return Err(EngineError::Gpu(HandOver::CdiSpecStale { device, path }));
    }
    Ok(Some(edits))
}

fn handed_over(edits: Edits) -> HandedOver {
    let libraries: Vec<_> = edits.mounts.iter().filter_map(Library::of).collect();
    let links = libraries.iter().filter_map(Library::link).collect();
    let mut environment = edits.environment;
    environment.extend(library_path(&libraries));
    HandedOver {
        environment,
        nodes: edits.device_nodes.iter().map(|n| (n.on_host().clone(), n.path.clone())).collect(),
        mounts: edits.mounts.iter().map(mount).collect(),
        links,
    }
}

fn mount(file: &HostFile) -> Mount {
    Mount {
        source: file.host_path.clone(),
        target: file.container_path.display().to_string(),
        writable: file.is_writable(),
    }
}

/// A library that is handed over.
struct Library<'a> {
    path: &'a Path,
    /// The name that programs ask for it by.
    soname: String,
}

impl<'a> Library<'a> {
    /// None where the file is no library.
    fn of(file: &'a HostFile) -> Option<Self> {
        let path = file.container_path.as_path();
        let name = path.file_name()?.to_str()?;
        let is_library = name.contains(".so") && file.host_path.is_file();
        let soname = is_library.then(|| soname(File::open(&file.host_path).ok()?))??;
        Some(Self { path, soname })
    }

    /// What `ldconfig` would make where the file has another name.
    fn link(&self) -> Option<(String, PathBuf)> {
        let name = self.path.file_name()?.to_str()?.to_owned();
        (self.soname != name).then(|| (name, self.path.with_file_name(&self.soname)))
    }
}

/// Folders of libraries that the loader would not look in.
fn library_path(libraries: &[Library]) -> Option<(String, String)> {
    let folders = libraries.iter().filter_map(|library| library.path.parent()?.to_str());
    let mut folders: Vec<_> = folders.filter(|f| !LOADER_FOLDERS.contains(f)).collect();
    folders.dedup();
    (!folders.is_empty()).then(|| ("LD_LIBRARY_PATH".to_owned(), folders.join(":")))
}
