//! Limits that control groups set, versions 1 and 2. A limit of any group on the way up holds, so
//! the smallest one counts.

use std::fs;
use std::path::{Path, PathBuf};

use super::facts::Fact;
use super::file::read;

/// Limits on this process; absent where there is none.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Cores' worth of time.
    pub cpu_quota: Fact<f64>,
    /// Bytes.
    pub memory: Fact<u64>,
}

/// Version 1 writes "no limit" as the largest multiple of the page size in an i64.
const V1_NO_LIMIT: u64 = i64::MAX as u64 / 4096 * 4096;

pub fn limits(root: &Path) -> Limits {
    let groups = match read(root, "proc/self/cgroup") {
        Ok(text) => text,
        Err(reason) => {
            return Limits {
                cpu_quota: Fact::unknown(reason.clone()),
                memory: Fact::unknown(reason),
            };
        }
    };
    let quota = smallest(folders(root, &groups, "cpu").iter().filter_map(|f| cpu_quota(f)));
    let memory = folders(root, &groups, "memory").iter().filter_map(|f| memory(f)).min();
    let none = "no control group sets one";
    Limits {
        cpu_quota: quota.map_or_else(|| Fact::absent(none), Fact::Is),
        memory: memory.map_or_else(|| Fact::absent(none), Fact::Is),
    }
}

/// The folders of this process's group for `controller` and of all groups above it.
fn folders(root: &Path, groups: &str, controller: &str) -> Vec<PathBuf> {
    let mount = root.join("sys/fs/cgroup");
    let unified = mount.join("cgroup.controllers").exists();
    let mut folders = Vec::new();
    for (names, path) in groups.lines().filter_map(parse_line) {
        let bases = match (unified, names.is_empty()) {
            (true, true) => vec![mount.clone()],
            (false, false) if names.split(',').any(|name| name == controller) => {
                vec![mount.join(names), mount.join(controller)]
            }
            _ => continue,
        };
        for base in bases {
            let steps = Path::new(path.trim_start_matches('/')).ancestors();
            folders.extend(steps.map(|step| base.join(step)));
        }
    }
    folders
}

/// Controllers and path of a line `hierarchy:controllers:path`.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

fn cpu_quota(folder: &Path) -> Option<f64> {
    let value = |name| fs::read_to_string(folder.join(name)).ok();
    let (quota, period) = match value("cpu.max") {
        Some(text) => text.trim().split_once(' ').map(|(q, p)| (q.to_owned(), p.to_owned()))?,
        None => (value("cpu.cfs_quota_us")?, value("cpu.cfs_period_us")?),
    };
    let (quota, period): (f64, f64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn memory(folder: &Path) -> Option<u64> {
    let value = |name| fs::read_to_string(folder.join(name)).ok();
    let text = value("memory.max").or_else(|| value("memory.limit_in_bytes"))?;
    text.trim().parse().ok().filter(|bytes| *bytes < V1_NO_LIMIT)
}

fn smallest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::host;
    use super::*;

    #[test]
    fn the_smallest_limit_on_the_way_up_holds() {
        let root = host(&[
            ("proc/self/cgroup", "0::/user/job\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/user/job/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/user/job/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/user/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/user/memory.max", "max\n"),
            ("sys/fs/cgroup/cpu.max", "400000 100000\n"),
        ]);
        let limits = limits(root.path());
        assert_eq!(limits.cpu_quota, Fact::Is(1.5));
        assert_eq!(limits.memory, Fact::Is(8 << 30));
    }

    #[test]
    fn reads_version_1() {
        let root = host(&[
            ("proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let limits = limits(root.path());
        assert_eq!(limits.cpu_quota, Fact::Is(2.0));
        assert!(matches!(limits.memory, Fact::Absent { .. }));
    }

    #[test]
    fn no_proc_is_unknown_not_unlimited() {
        let root = host(&[]);
        assert!(matches!(limits(root.path()).memory, Fact::Unknown { .. }));
    }
}
