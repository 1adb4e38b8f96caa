//! Ending root's containers when ybox is killed. Bubblewrap's own way (`--die-with-parent`) fails
//! them: by then it has given up root's rights, and the container belongs to another user.

use std::ffi::{CStr, CString};
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A process that kills the container once this process is gone.
pub struct Guard {
    pid: libc::pid_t,
    /// Closed by the kernel when this process ends, in whatever way.
    _alive: PipeWriter,
}

impl Guard {
    /// Guards the process that `container`, a pidfd, stands for, and removes its control group.
    pub fn watch(container: &OwnedFd, group: Option<&Path>) -> io::Result<Self> {
        let (watched, alive) = io::pipe()?;
        let group = CString::new(group.unwrap_or(Path::new("")).as_os_str().as_bytes())?;
        // SAFETY: the child only makes system calls until it ends; see `stand`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => stand(watched.as_raw_fd(), container.as_raw_fd(), &group),
            pid => Ok(Self { pid, _alive: alive }),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: `pid` is our child and has not been waited for.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// The guard's life: out of the terminal's reach, with nothing open that others wait for (locks,
/// ends of pipes), it reads until nobody can write any more. Nothing here allocates or locks: the
/// process was forked from one with threads.
fn stand(watched: RawFd, container: RawFd, group: &CStr) -> ! {
    const WATCHED: RawFd = 0;
    const CONTAINER: RawFd = 1;
    const TRIES: usize = 500;
    const PAUSE: libc::useconds_t = 10_000;
    // SAFETY: plain system calls on descriptors of our own, a buffer on the stack, and a path that
    // was made before the fork.
    unsafe {
        libc::setsid();
        libc::dup2(watched, WATCHED);
        libc::dup2(container, CONTAINER);
        libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0);
        let mut byte = 0u8;
        while libc::read(WATCHED, (&raw mut byte).cast(), 1) < 0
            && *libc::__errno_location() == libc::EINTR
        {}
        let nothing = std::ptr::null::<libc::siginfo_t>();
        libc::syscall(libc::SYS_pidfd_send_signal, CONTAINER, libc::SIGKILL, nothing, 0);
        for _ in 0..TRIES {
            if libc::rmdir(group.as_ptr()) == 0 || *libc::__errno_location() != libc::EBUSY {
                break;
            }
            libc::usleep(PAUSE);
        }
        libc::_exit(0);
    }
}
