//! The limit on the number of processes, by the best means that there is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Resource, Rlimit};

/// How the number of processes (threads included) is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PidsLimit {
    /// By a control group below this folder, made for each container.
    Cgroup(PathBuf),
    /// By RLIMIT_NPROC, which since Linux 5.14 counts within the container's user namespace.
    Namespace,
    /// Not at all: before Linux 5.14, RLIMIT_NPROC would count the user's processes outside too.
    None,
}

impl PidsLimit {
    /// What can be used on this machine.
    pub fn available() -> Self {
        if let Some(parent) = cgroup_parents().into_iter().find(|parent| can_limit(parent)) {
            return Self::Cgroup(parent);
        }
        match kernel() >= (5, 14) {
            true => Self::Namespace,
            false => Self::None,
        }
    }

    /// For the record.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cgroup(_) => "cgroup",
            Self::Namespace => "rlimit-in-user-namespace",
            Self::None => "none",
        }
    }

    /// Puts a process, and all that it will start, under the limit, as long as the result lives.
    pub fn apply(&self, pid: Pid, limit: u32) -> io::Result<Option<Cgroup>> {
        match self {
            Self::Cgroup(parent) => {
                let group = Cgroup::create(parent, &format!("ybox-{}", pid.as_raw_nonzero()))?;
                group.set("pids.max", limit)?;
                group.set("cgroup.procs", pid.as_raw_nonzero())?;
                Ok(Some(group))
            }
            Self::Namespace => {
                let limit = Some(u64::from(limit));
                let rlimit = Rlimit { current: limit, maximum: limit };
                rustix::process::prlimit(Some(pid), Resource::Nproc, rlimit)?;
                Ok(None)
            }
            Self::None => Ok(None),
        }
    }
}

/// A control group that is removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn create(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(name);
        match fs::create_dir(&path) {
            // Left behind, empty, by a ybox that was killed.
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(Self { path }),
        }
    }

    fn set(&self, file: &str, value: impl ToString) -> io::Result<()> {
        fs::write(self.path.join(file), value.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last of its processes may take a moment to be gone.
        for _ in 0..50 {
            match fs::remove_dir(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}

/// Folders in which a control group for a container may be made: beside this process's own group
/// where the caller was given that part of the tree, else, for root, at the top.
fn cgroup_parents() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    parents(&own, Path::new("/sys/fs/cgroup"))
}

fn parents(own: &str, top: &Path) -> Vec<PathBuf> {
    let unified = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let beside = unified.and_then(|path| Path::new(path).parent()).map(|path| top.join(path));
    beside.into_iter().chain([top.to_path_buf(), top.join("pids")]).collect()
}

/// Whether a group made in `parent` can limit processes, and this process can move others there.
fn can_limit(parent: &Path) -> bool {
    let name = format!("ybox-trial-{}", std::process::id());
    let Ok(group) = Cgroup::create(parent, &name) else { return false };
    let writable = |file: PathBuf| fs::OpenOptions::new().write(true).open(file).is_ok();
    writable(group.path.join("pids.max")) && writable(parent.join("cgroup.procs"))
}

/// Major and minor version.
fn kernel() -> (u32, u32) {
    version(&rustix::system::uname().release().to_string_lossy())
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-13-amd64"), (6, 1));
        assert!(version("5.4.0") < (5, 14) && version("5.15.0-generic") >= (5, 14));
    }

    #[test]
    fn a_group_beside_our_own_comes_before_one_at_the_top() {
        let top = Path::new("/cg");
        let own = "1:name=systemd:/x\n0::/user.slice/u.service/app.slice/a.scope\n";
        assert_eq!(
            parents(own, top),
            [
                Path::new("/cg/user.slice/u.service/app.slice"),
                Path::new("/cg"),
                Path::new("/cg/pids")
            ]
        );
        assert_eq!(parents("4:pids:/x\n", top), [Path::new("/cg"), Path::new("/cg/pids")]);
    }
}
