//! Loading a part of libtorch that this program is not linked with.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::TorchError;

/// Opens the shared library at `path` for good, so that it can register itself with libtorch: all
/// its symbols are resolved now and seen by what is opened after it. For libtorch_cuda this must
/// come before anything that asks whether CUDA is there: libtorch keeps the first answer.
///
/// # Errors
/// What the loader says, which names the library or symbol that is missing.
pub fn load(path: &Path) -> Result<(), TorchError> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| TorchError("a path holds a zero byte".into()))?;
    // SAFETY: `name` is a C string. The library's initialisers run; that they are libtorch's own
    // is the caller's word.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: takes nothing; what it gives is a C string of this thread, or NULL.
    let reason = unsafe { libc::dlerror() };
    if reason.is_null() {
        return Err(TorchError(format!("{} can't be opened", path.display())));
    }
    // SAFETY: not NULL, and copied before the next call of the loader.
    Err(TorchError(unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let error = load(Path::new("/nowhere/libtorch_cuda.so")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/libtorch_cuda.so"), "{error}");
    }
}
