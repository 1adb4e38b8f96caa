//! Starting bubblewrap, held back until its limits apply.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::Deserialize;

use super::Embedded;
use super::guard::Guard;
use super::limits::Cgroup;
use super::namespace::{UserNamespace, inherit};
use crate::engine::{Container, EngineError};

/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// A container that has been started. It is killed, if it still runs, when this is dropped.
pub struct Process {
    pub bubblewrap: Child,
    /// What bubblewrap says of the container, one JSON document a line.
    status: BufReader<PipeReader>,
    inner: Option<OwnedFd>,
    guard: Option<Guard>,
    group: Option<Cgroup>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    child_pid: Option<i32>,
    exit_code: Option<i32>,
}

/// Starts `arguments` as the container's user and under its limits.
pub fn start(
    embedded: &Embedded,
    container: &Container,
    arguments: Vec<OsString>,
) -> Result<Process, EngineError> {
    let namespace = UserNamespace::for_caller(&embedded.caller, container.user)
        .map_err(EngineError::io("make a user namespace"))?;
    let (mut process, gate) = spawn(embedded, container, namespace.as_ref(), arguments)
        .map_err(EngineError::io("start bwrap"))?;
    let pid = process.read_status().child_pid.and_then(Pid::from_raw);
    let inner = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    let (Some(pid), Some(inner)) = (pid, inner) else { return Err(process.not_started()) };
    process.group = match embedded.pids_limit.apply(pid, container.pids_limit) {
        // It has failed already, which is found out when it is waited for.
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => None,
        applied => applied.map_err(EngineError::io("limit the number of processes"))?,
    };
    if namespace.is_some() {
        let group = process.group.as_ref().map(Cgroup::path);
        let guard = Guard::watch(&inner, group).map_err(EngineError::io("guard the container"))?;
        process.guard = Some(guard);
    }
    process.inner = Some(inner);
    open(gate);
    Ok(process)
}

/// Nobody listens if the container has failed already, which is found out when it is waited for.
fn open(mut gate: PipeWriter) {
    let _ = gate.write_all(b"x");
}

fn spawn(
    embedded: &Embedded,
    container: &Container,
    namespace: Option<&UserNamespace>,
    arguments: Vec<OsString>,
) -> io::Result<(Process, PipeWriter)> {
    let (status, status_writer) = io::pipe()?;
    let (gate_reader, gate) = io::pipe()?;
    let mut command = Command::new(&embedded.bubblewrap.program);
    match namespace {
        Some(namespace) => namespace.hand_to(&mut command),
        None => unshare_user(&mut command, embedded, container),
    }
    command.args(["--json-status-fd", &status_writer.as_raw_fd().to_string()]);
    command.args(["--block-fd", &gate_reader.as_raw_fd().to_string()]);
    inherit(&mut command, vec![status_writer.as_raw_fd(), gate_reader.as_raw_fd()]);
    detach(&mut command);
    let bubblewrap = command.args(arguments).env_clear().current_dir("/").spawn()?;
    let status = BufReader::new(status);
    Ok((Process { bubblewrap, status, inner: None, guard: None, group: None }, gate))
}

fn unshare_user(command: &mut Command, embedded: &Embedded, container: &Container) {
    let (uid, gid) = container.user;
    command.args(["--unshare-user", "--uid", &uid.to_string(), "--gid", &gid.to_string()]);
    if embedded.bubblewrap.features.disable_userns {
        command.arg("--disable-userns");
    }
}

/// Ctrl-C at the terminal must reach ybox alone, which decides what the container is told.
fn detach(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let umask = || {
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        Ok(())
    };
    // SAFETY: one system call; nothing is allocated or locked.
    unsafe { command.pre_exec(umask) };
}

impl Process {
    /// Sends a signal to the container's first process.
    pub fn signal(&self, signal: Signal) {
        if let Some(inner) = &self.inner {
            // It fails when the process has just ended, which is all that was wanted.
            let _ = rustix::process::pidfd_send_signal(inner, signal);
        }
    }

    /// The container's exit code; none if it never started. Call it when bubblewrap has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.read_status().exit_code
    }

    fn read_status(&mut self) -> Status {
        let mut line = String::new();
        match self.status.read_line(&mut line) {
            Ok(_) => serde_json::from_str(&line).unwrap_or_default(),
            Err(_) => Status::default(),
        }
    }

    fn not_started(&mut self) -> EngineError {
        let mut reason = String::new();
        if let Some(mut stderr) = self.bubblewrap.stderr.take() {
            let _ = stderr.read_to_string(&mut reason);
        }
        EngineError::NotStarted { reason: reason.trim().to_owned() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Bubblewrap ends once the last of the container's processes is gone, so it is left to
        // itself unless that takes too long, or there is nothing to wait for.
        let patience = if self.inner.is_some() { KILL_PATIENCE } else { Duration::ZERO };
        let asked = Instant::now();
        while asked.elapsed() < patience && matches!(self.bubblewrap.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.bubblewrap.kill();
        let _ = self.bubblewrap.wait();
    }
}
