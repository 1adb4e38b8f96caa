//! A libtorch to build the trainer against, laid out from the wheels that the lock pins: headers,
//! the libraries of the CPU half, and a linker script that stands for the `libtorch.so` that
//! torch-sys links. Building is cargo's business.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, files};
use zip::ZipArchive;
use zip::result::ZipError;

use super::Inputs;
use crate::lock::Lock;
use crate::ui::Explain;

/// The headers' folder in the wheel of torch.
const HEADERS: &str = "torch/include/";
/// What libtorch_cpu is linked against, itself included.
const LIBRARIES: [&str; 5] =
    ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"];
const LINKER_SCRIPT: &str = "INPUT(-ltorch_cpu -lc10)\n";
/// The whole takes 0.5 GB; far more would be no libtorch.
const EXPANDED_LIMIT: u64 = 4 << 30;
const STAMP: &str = ".ybox-libtorch.json";
/// Raise it when the layout changes: an older one is laid out anew.
const LAYOUT: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum LibtorchError {
    #[error("cannot write {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot read the wheel {wheel}")]
    Zip { wheel: String, source: ZipError },
    #[error("the wheel {wheel} holds `{entry}`, which is no path below its root")]
    Escapes { wheel: String, entry: String },
    #[error("the wheels hold more than {limit} bytes: that is no libtorch")]
    TooLarge { limit: u64 },
    #[error("no wheel of the lock holds {0}")]
    Missing(&'static str),
    #[error("{0} is in more than one place of the wheels")]
    Twice(&'static str),
    #[error("{0} is not empty and was not laid out by ybox")]
    Occupied(PathBuf),
}

impl Explain for LibtorchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Occupied(_) => Some("remove it, or choose another folder".into()),
            Self::Missing(_) => Some("lock a variant whose wheels have it, such as cpu".into()),
            _ => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::Io { .. } => 2,
            _ => 1,
        }
    }
}

/// What a folder was laid out from.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    layout: u32,
    wheels: Vec<Digest>,
}

/// Lays out `folder` from the wheels of `lock`, which lie where `inputs` says. Returns whether
/// there was anything to do. The folder appears complete or not at all.
pub fn lay_out(lock: &Lock, inputs: &Inputs, folder: &Path) -> Result<bool, LibtorchError> {
    // A link to a folder stays a link.
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let stamp =
        Stamp { layout: LAYOUT, wheels: lock.wheels.iter().map(|wheel| wheel.sha256).collect() };
    let found = read_stamp(&folder);
    if found.as_ref() == Some(&stamp) {
        return Ok(false);
    }
    if found.is_none() && is_occupied(&folder) {
        return Err(LibtorchError::Occupied(folder));
    }
    let temporary = beside(&folder, "new");
    let laid_out = fill(&temporary, inputs, &stamp).and_then(|()| swap(&temporary, &folder));
    if laid_out.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    laid_out.map(|()| true)
}

fn read_stamp(folder: &Path) -> Option<Stamp> {
    serde_json::from_slice(&fs::read(folder.join(STAMP)).ok()?).ok()
}

fn is_occupied(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) => e.kind() != io::ErrorKind::NotFound,
    }
}

fn beside(folder: &Path, purpose: &str) -> PathBuf {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or("libtorch");
    folder.with_file_name(format!(".{name}.{}.{purpose}", std::process::id()))
}

fn fill(folder: &Path, inputs: &Inputs, stamp: &Stamp) -> Result<(), LibtorchError> {
    let failed = |path: PathBuf| move |source| LibtorchError::Io { path, source };
    let lib = folder.join("lib");
    fs::create_dir_all(&lib).map_err(failed(lib.clone()))?;
    let mut layout = Layout { folder, room: EXPANDED_LIMIT, libraries: Vec::new() };
    for (name, path) in &inputs.wheels {
        layout.unpack(name, path)?;
    }
    layout.check_libraries()?;
    let script = lib.join("libtorch.so");
    fs::write(&script, LINKER_SCRIPT).map_err(failed(script))?;
    let path = folder.join(STAMP);
    let stamp = serde_json::to_vec_pretty(stamp).map_err(|e| failed(path.clone())(e.into()))?;
    fs::write(&path, stamp).map_err(failed(path.clone()))?;
    // Thousands of small files: one sync of the file system rather than one each.
    File::open(folder)
        .and_then(|dir| rustix::fs::syncfs(dir).map_err(Into::into))
        .map_err(failed(path))
}

/// Puts `new` in the place of `folder`.
fn swap(new: &Path, folder: &Path) -> Result<(), LibtorchError> {
    files::replace_folder(new, folder, &beside(folder, "old"))
        .map_err(|source| LibtorchError::Io { path: folder.into(), source })
}

/// A folder being filled.
struct Layout<'a> {
    folder: &'a Path,
    /// Bytes that may still be written.
    room: u64,
    libraries: Vec<&'static str>,
}

impl Layout<'_> {
    fn unpack(&mut self, wheel: &str, path: &Path) -> Result<(), LibtorchError> {
        let unreadable = |source| LibtorchError::Zip { wheel: wheel.into(), source };
        let file = File::open(path).map_err(|e| unreadable(e.into()))?;
        let mut archive = ZipArchive::new(file).map_err(unreadable)?;
        for i in 0..archive.len() {
            let entry = archive.by_index(i).map_err(unreadable)?;
            let name = entry.name().map_err(unreadable)?.into_owned();
            if name.ends_with('/') {
                continue;
            }
            let Some(target) = self.target(&name)? else { continue };
            if entry.is_symlink() || !is_below_root(&name) {
                return Err(LibtorchError::Escapes { wheel: wheel.into(), entry: name });
            }
            self.write(entry, &target, wheel)?;
        }
        Ok(())
    }

    /// Where an entry of a wheel goes, if it is wanted.
    fn target(&mut self, name: &str) -> Result<Option<PathBuf>, LibtorchError> {
        if let Some(header) = name.strip_prefix(HEADERS) {
            return Ok(Some(self.folder.join("include").join(header)));
        }
        let mut parts = name.rsplit('/');
        let (file, parent) = (parts.next(), parts.next());
        let library = LIBRARIES.iter().find(|library| Some(**library) == file);
        let Some(library) = library.filter(|_| parent == Some("lib")) else { return Ok(None) };
        if self.libraries.contains(library) {
            return Err(LibtorchError::Twice(library));
        }
        self.libraries.push(library);
        Ok(Some(self.folder.join("lib").join(library)))
    }

    fn write(&mut self, entry: impl Read, target: &Path, wheel: &str) -> Result<(), LibtorchError> {
        let failed = |source| LibtorchError::Io { path: target.into(), source };
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = File::create(target).map_err(failed)?;
        // One byte more than there is room for tells that there is more.
        let mut entry = entry.take(self.room + 1);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|e| LibtorchError::Zip { wheel: wheel.into(), source: e.into() })?;
            if read == 0 {
                return Ok(());
            }
            self.room = self
                .room
                .checked_sub(read as u64)
                .ok_or(LibtorchError::TooLarge { limit: EXPANDED_LIMIT })?;
            file.write_all(&buffer[..read]).map_err(failed)?;
        }
    }

    fn check_libraries(&self) -> Result<(), LibtorchError> {
        match LIBRARIES.iter().find(|library| !self.libraries.contains(library)) {
            Some(library) => Err(LibtorchError::Missing(library)),
            None => Ok(()),
        }
    }
}

fn is_below_root(name: &str) -> bool {
    !name.contains(['\\', '\0'])
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expands_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut layout = Layout { folder: folder.path(), room: 10, libraries: vec![] };
        let target = folder.path().join("include/a.h");
        layout.write(&b"1234567890"[..], &target, "torch").unwrap();
        let error = layout.write(io::repeat(0), &target, "torch").unwrap_err();
        assert!(matches!(error, LibtorchError::TooLarge { .. }));
    }

    #[test]
    fn names_stay_below_the_root() {
        assert!(is_below_root("torch/include/ATen/ATen.h"));
        for bad in ["torch/include/../../x", "/etc/x", "torch/include/..\\x", "a\0b"] {
            assert!(!is_below_root(bad), "{bad}");
        }
    }
}
