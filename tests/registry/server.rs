//! Registries on ports of their own, Debian's docker-registry and one that lists referrers, and the
//! command to talk to them with.

use std::fs;
use std::io::{Read, Seek};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub struct Registry {
    pub dir: tempfile::TempDir,
    pub port: u16,
    server: Server,
}

/// A registry's process.
pub struct Server(Child);

/// Whether a program is installed; says so if it is not.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|d| d.join(program).is_file()));
    if !found {
        println!("passed over: there is no {program}");
    }
    found
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Registry {
    /// Nothing where docker-registry is not installed.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    /// `more` is added to its configuration; `DIR` in it is its folder.
    pub fn with(more: &str) -> Option<Self> {
        Self::with_files(more, &[])
    }

    pub fn with_files(more: &str, files: &[(&str, &[u8])]) -> Option<Self> {
        if !have("docker-registry") {
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let root = dir.path().display();
        let more = more.replace("DIR", &root.to_string());
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n  relativeurls: true\n{more}"
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let server = serve(Command::new("docker-registry"), dir.path());
        let registry = Self { dir, port, server };
        registry.wait();
        Some(registry)
    }

    /// Another kind, in memory, which lists referrers. Nothing where `scripts/referrers-registry.sh`
    /// has not made it.
    pub fn with_referrers() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/referrers-registry");
        if !program.is_file() {
            println!("passed over: there is no {}", program.display());
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new(program);
        command.arg(format!("127.0.0.1:{port}"));
        let registry = Self { dir, port, server: start(command) };
        registry.wait();
        Some(registry)
    }

    /// One of each kind that there is.
    pub fn kinds() -> impl Iterator<Item = Self> {
        [Self::start, Self::with_referrers].into_iter().filter_map(|start| start())
    }

    /// `HOST/NAME`.
    pub fn place(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    pub fn stop(&mut self) {
        self.server.0.kill().unwrap();
        self.server.0.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.server = serve(Command::new("docker-registry"), self.dir.path());
        self.wait();
    }

    /// Serves the same under the same address in another network namespace, too.
    pub fn serve_in(&self, namespace: &Path) -> Server {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--net={}", namespace.display())).arg("docker-registry");
        serve(enter, self.dir.path())
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the registry does not come up");
            sleep(Duration::from_millis(20));
        }
    }
}

fn serve(mut command: Command, dir: &Path) -> Server {
    command.arg("serve").arg(dir.join("config.yml"));
    start(command)
}

fn start(mut command: Command) -> Server {
    Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command with a home, and nothing of this machine's settings or credentials.
pub fn ybox(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ybox"));
    let nowhere = home.join("nowhere");
    command.args(arguments).current_dir(home).env("YBOX_HOME", home).env("HOME", &nowhere);
    for variable in [
        "REGISTRY_AUTH_FILE",
        "DOCKER_CONFIG",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "YBOX_PROJECT",
        "YBOX_OFFLINE",
        "PIP_CERT",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Standard output of a command that succeeds, without the line's end.
#[track_caller]
pub fn told(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim_end().to_owned()
}

/// Exit status and standard error of a command that fails.
#[track_caller]
pub fn refused(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "{command:?} succeeded: {stderr}");
    (status.code().unwrap_or(-1), stderr)
}

/// The same, and the most memory that the command had, in bytes; the test's own until then counts,
/// too.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
#[track_caller]
pub fn refused_within(command: &mut Command) -> (i32, String, u64) {
    let mut stderr = tempfile::tempfile().unwrap();
    let child = command.stdout(Stdio::null()).stderr(stderr.try_clone().unwrap()).spawn().unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::zeroed());
    // SAFETY: the child is waited for only here, and both places outlive the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(waited, pid);
    // SAFETY: all zeros is a value of it.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    let mut said = String::new();
    stderr.rewind().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let status = ExitStatus::from_raw(status);
    assert!(!status.success(), "{command:?} succeeded: {said}");
    (status.code().unwrap_or(-1), said, usage.ru_maxrss.unsigned_abs() * 1024)
}

/// An empty home.
pub fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The files that are on their way into the store under `home`.
pub fn unfinished(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.join("store/tmp")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
