//! jemalloc in place of the C library's malloc, for the whole process: the library's name for it is
//! `malloc` too, so libtorch's tensors come from it. It keeps freed memory for the next step
//! instead of returning it to the kernel, which would hand it out again page by page; and big and
//! small blocks share it, so that what one kind has freed serves the other.

use std::ffi::c_char;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A C string that jemalloc reads before `main`.
#[repr(transparent)]
pub struct Settings(*const c_char);

// SAFETY: points to constant data.
unsafe impl Sync for Settings {}

// SAFETY: jemalloc declares this symbol, a pointer to a C string, for programs to define.
#[unsafe(export_name = "malloc_conf")]
pub static SETTINGS: Settings =
    Settings(c"dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0".as_ptr());
