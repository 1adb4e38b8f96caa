//! The user namespace for a container that root starts. Bubblewrap alone can only map its caller;
//! root's containers run as somebody else, so they need one with all ids.
//!
//! Ids mean the same inside and outside, but for root, who changes places with an id that nobody
//! uses: so bubblewrap, which starts as root, is not 0 inside, and the kernel lets it keep the
//! capabilities that it needs for the mounts when it takes on the container's user.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;

use crate::engine::{Caller, Ids};

/// Changes places with root; as no account has it.
const STAND_IN: u32 = 65534;

/// A user namespace that bubblewrap is to enter.
pub struct UserNamespace {
    handle: OwnedFd,
    user: Ids,
}

impl UserNamespace {
    /// One where `user` is `user`, if the caller is root; none is needed otherwise.
    pub fn for_caller(caller: &Caller, user: Ids) -> io::Result<Option<Self>> {
        if !caller.is_root() {
            return Ok(None);
        }
        // The trial run has no user of its own.
        let user = if user.0 == 0 { crate::engine::user::UNPRIVILEGED } else { user };
        let uid_map = map(&std::fs::read_to_string("/proc/self/uid_map")?, user.0)?;
        let gid_map = map(&std::fs::read_to_string("/proc/self/gid_map")?, user.1)?;
        let handle = Holder::fork()?.mapped(&uid_map, &gid_map)?;
        Ok(Some(Self { handle, user }))
    }

    /// Makes `command`, a bubblewrap, enter the namespace as its user and without further groups.
    pub fn hand_to(&self, command: &mut Command) {
        let (handle, (uid, gid)) = (self.handle.as_raw_fd(), self.user);
        command.args(["--userns", &handle.to_string()]);
        command.args(["--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        inherit(command, vec![handle]);
        // SAFETY: one system call; nothing is allocated or locked.
        unsafe { command.pre_exec(drop_groups) };
    }
}

/// Leaves these descriptors open in the program that `command` starts.
pub fn inherit(command: &mut Command, descriptors: Vec<RawFd>) {
    let keep = move || {
        for &descriptor in &descriptors {
            // SAFETY: the caller keeps the descriptor open until the program has started.
            let descriptor = unsafe { rustix::fd::BorrowedFd::borrow_raw(descriptor) };
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(keep) };
}

fn drop_groups() -> io::Result<()> {
    // SAFETY: a list of no groups needs no memory.
    match unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The mapping of all ids that exist here, where root and the stand-in change places.
fn map(own: &str, user: u32) -> io::Result<String> {
    let first: Vec<u32> =
        own.lines().next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
    let count = match first[..] {
        [0, _, count] if count > 2 && user < count => count,
        _ => return Err(io::Error::other(format!("user {user} does not exist in this namespace"))),
    };
    let stand_in = match STAND_IN.min(count - 1) {
        taken if taken == user => taken - 1,
        free => free,
    };
    let mut map = format!("{stand_in} 0 1\n0 {stand_in} 1\n1 1 {}\n", stand_in - 1);
    if stand_in + 1 < count {
        map += &format!("{next} {next} {}\n", count - stand_in - 1, next = stand_in + 1);
    }
    Ok(map)
}

/// A process that keeps a new user namespace alive until there is a handle to it.
struct Holder {
    pid: libc::pid_t,
    replies: PipeReader,
    requests: PipeWriter,
}

impl Holder {
    fn fork() -> io::Result<Self> {
        let (replies, child_replies) = io::pipe()?;
        let (child_requests, requests) = io::pipe()?;
        // SAFETY: the child only makes system calls until it ends; see `hold`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => hold(child_requests.as_raw_fd(), child_replies.as_raw_fd()),
            pid => Ok(Self { pid, replies, requests }),
        }
    }

    fn mapped(mut self, uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
        self.confirmed("make a user namespace")?;
        std::fs::write(format!("/proc/{}/uid_map", self.pid), uid_map)?;
        std::fs::write(format!("/proc/{}/gid_map", self.pid), gid_map)?;
        self.requests.write_all(b"m")?;
        self.confirmed("forbid further user namespaces")?;
        Ok(std::fs::File::open(format!("/proc/{}/ns/user", self.pid))?.into())
    }

    fn confirmed(&mut self, what: &str) -> io::Result<()> {
        let mut errno = [0];
        self.replies.read_exact(&mut errno)?;
        match errno[0] {
            0 => Ok(()),
            code => {
                let error = io::Error::from_raw_os_error(i32::from(code));
                Err(io::Error::new(error.kind(), format!("cannot {what}: {error}")))
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: `pid` is our child and has not been waited for.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// The holder's life: make the namespace, say so; once ids are mapped, forbid further ones in it.
/// Nothing here allocates or locks: the process was forked from one with threads.
fn hold(requests: RawFd, replies: RawFd) -> ! {
    // SAFETY: plain system calls on descriptors and buffers that live as long as the process.
    unsafe {
        reply(replies, libc::unshare(libc::CLONE_NEWUSER) == 0);
        let mut byte = 0u8;
        libc::read(requests, (&raw mut byte).cast(), 1);
        let limit = libc::open(c"/proc/sys/user/max_user_namespaces".as_ptr(), libc::O_WRONLY);
        reply(replies, limit >= 0 && libc::write(limit, c"0".as_ptr().cast(), 1) == 1);
        loop {
            libc::pause();
        }
    }
}

/// # Safety
/// Called by the forked child, on its own descriptor.
unsafe fn reply(replies: RawFd, ok: bool) {
    // SAFETY: `errno` is this thread's; the buffer is one byte.
    unsafe {
        let errno = if ok { 0u8 } else { u8::try_from(*libc::__errno_location()).unwrap_or(255) };
        libc::write(replies, (&raw const errno).cast(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_itself_but_root_and_the_stand_in() {
        assert_eq!(
            map("         0          0 4294967295\n", 1000).unwrap(),
            "65534 0 1\n0 65534 1\n1 1 65533\n65535 65535 4294901760\n"
        );
    }

    #[test]
    fn the_stand_in_is_never_the_user() {
        assert!(map("0 0 4294967295\n", 65534).unwrap().starts_with("65533 0 1\n0 65533 1\n"));
    }

    #[test]
    fn in_a_smaller_namespace_the_last_id_stands_in() {
        assert_eq!(map("0 100000 65534\n", 7).unwrap(), "65533 0 1\n0 65533 1\n1 1 65532\n");
        assert!(map("0 1000 1\n", 65532).is_err());
    }
}
