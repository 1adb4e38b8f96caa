//! Opening shared libraries that this program is not linked with: a part of libtorch, the driver.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use super::TorchError;

/// Opens the shared library at `path` for good, so that it can register itself with libtorch. For
/// libtorch_cuda this must come before anything that asks whether CUDA is there: libtorch keeps the
/// first answer.
///
/// # Errors
/// What the loader says, which names the library or symbol that is missing.
pub fn load(path: &Path) -> Result<(), TorchError> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| TorchError("a path holds a zero byte".into()))?;
    open_library(&name).map(drop).map_err(TorchError)
}

/// Opens the shared library `name` for good: all its symbols are resolved now and seen by what is
/// opened after it.
///
/// # Errors
/// What the loader says.
pub fn open_library(name: &CStr) -> Result<NonNull<c_void>, String> {
    // SAFETY: a C string. The library's initialisers run; that they are what they should be is the
    // caller's word.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    NonNull::new(library).ok_or_else(loader_error)
}

fn loader_error() -> String {
    // SAFETY: gives a C string of this thread, or NULL.
    let reason = unsafe { libc::dlerror() };
    if reason.is_null() {
        return "the loader does not say why".into();
    }
    // SAFETY: not NULL, and copied before the next call of the loader.
    unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned()
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
