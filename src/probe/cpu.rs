//! CPU and memory facts from `/proc` below a given root.

use std::collections::BTreeSet;
use std::path::Path;

use super::cgroup::Limits;
use super::facts::{Cpu, Fact, Memory};
use super::file::read;

/// Instruction sets worth naming: those that libtorch's kernels choose between, and their bases.
pub const INSTRUCTION_SETS: [&str; 18] = [
    "sse4_1",
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "bmi2",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_tile",
    "amx_bf16",
];

pub fn cpu(root: &Path, limits: &Limits) -> Cpu {
    let text = read(root, "proc/cpuinfo");
    let info = text.as_ref().map(|text| Info(text)).map_err(Clone::clone);
    let affinity = affinity(root);
    Cpu {
        architecture: Fact::Is(std::env::consts::ARCH.into()),
        vendor: field(&info, "vendor_id"),
        model: field(&info, "model name"),
        physical_cores: Fact::from_result(info.clone().and_then(|i| i.physical_cores())),
        logical_cores: Fact::from_result(info.clone().and_then(|i| i.logical_cores())),
        usable_cores: usable(&affinity, &limits.cpu_quota),
        affinity,
        quota: limits.cpu_quota.clone(),
        instruction_sets: Fact::from_result(info.and_then(|i| i.instruction_sets())),
    }
}

pub fn memory(root: &Path, limits: &Limits) -> Memory {
    let total = read(root, "proc/meminfo").and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        kib.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| "/proc/meminfo has no MemTotal".to_owned())
    });
    Memory { total: Fact::from_result(total), limit: limits.memory.clone() }
}

/// The content of `/proc/cpuinfo`: one block of `key : value` lines per logical core.
#[derive(Debug, Clone, Copy)]
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn values(self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(move |(k, _)| k.trim() == key)
            .map(|(_, value)| value.trim())
    }

    fn first(self, key: &'a str) -> Result<&'a str, String> {
        self.values(key).next().ok_or_else(|| format!("/proc/cpuinfo has no `{key}`"))
    }

    fn logical_cores(self) -> Result<u32, String> {
        self.first("processor")?;
        Ok(u32::try_from(self.values("processor").count()).unwrap_or(u32::MAX))
    }

    /// Distinct pairs of socket and core.
    fn physical_cores(self) -> Result<u32, String> {
        self.first("core id")?;
        let cores: BTreeSet<_> = self.values("physical id").zip(self.values("core id")).collect();
        Ok(u32::try_from(cores.len()).unwrap_or(u32::MAX))
    }

    fn instruction_sets(self) -> Result<Vec<String>, String> {
        let flags: BTreeSet<_> = self.first("flags")?.split_whitespace().collect();
        Ok(INSTRUCTION_SETS.iter().filter(|s| flags.contains(*s)).map(|s| (*s).into()).collect())
    }
}

fn field(info: &Result<Info<'_>, String>, key: &'static str) -> Fact<String> {
    match info {
        Ok(info) => Fact::from_result(info.first(key).map(str::to_owned)),
        Err(reason) => Fact::unknown(reason.clone()),
    }
}

/// From `Cpus_allowed_list`, e.g. `0-3,8`.
fn affinity(root: &Path) -> Fact<u32> {
    let count = read(root, "proc/self/status").and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .and_then(|list| count_list(list.trim()))
            .ok_or_else(|| "/proc/self/status has no readable Cpus_allowed_list".to_owned())
    });
    Fact::from_result(count)
}

fn count_list(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// A part of a core is not counted on, as in Rust's own `available_parallelism`.
fn usable(affinity: &Fact<u32>, quota: &Fact<f64>) -> Fact<u32> {
    match (affinity, quota) {
        (Fact::Is(cores), Fact::Is(quota)) => Fact::Is((*cores).min(quota.max(1.0) as u32)),
        (Fact::Is(cores), Fact::Absent { .. }) => Fact::Is(*cores),
        (Fact::Is(_), Fact::Unknown { unknown }) => Fact::unknown(unknown.clone()),
        (_, _) => Fact::unknown(affinity.reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::host;
    use super::*;

    const TWO_THREADS_ONE_CORE: &str = "\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) CPU
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx avx2 fma avx512f unheard_of

processor\t: 1
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx avx2 fma avx512f unheard_of
";

    fn limits(quota: Fact<f64>) -> Limits {
        Limits { cpu_quota: quota, memory: Fact::absent("no limit") }
    }

    #[test]
    fn counts_cores_and_names_instruction_sets() {
        let root = host(&[
            ("proc/cpuinfo", TWO_THREADS_ONE_CORE),
            ("proc/self/status", "Name:\tybox\nCpus_allowed_list:\t0-1,4\n"),
            ("proc/meminfo", "MemTotal:       16384 kB\n"),
        ]);
        let cpu = cpu(root.path(), &limits(Fact::Is(1.5)));
        assert_eq!(cpu.model, Fact::Is("Intel(R) Xeon(R) CPU".into()));
        assert_eq!((cpu.logical_cores, cpu.physical_cores), (Fact::Is(2), Fact::Is(1)));
        assert_eq!((cpu.affinity, cpu.usable_cores), (Fact::Is(3), Fact::Is(1)));
        let sets = ["sse4_2", "avx", "fma", "avx2", "avx512f"].map(String::from).to_vec();
        assert_eq!(cpu.instruction_sets, Fact::Is(sets));
        assert_eq!(memory(root.path(), &limits(Fact::absent(""))).total, Fact::Is(16384 * 1024));
    }

    #[test]
    fn says_what_it_could_not_read() {
        let root = host(&[("proc/cpuinfo", "processor : 0\nBogoMIPS : 50\n")]);
        let cpu = cpu(root.path(), &limits(Fact::absent("no limit")));
        assert_eq!(cpu.logical_cores, Fact::Is(1));
        assert_eq!(cpu.model, Fact::unknown("/proc/cpuinfo has no `model name`"));
        assert_eq!(cpu.instruction_sets, Fact::unknown("/proc/cpuinfo has no `flags`"));
        assert!(cpu.usable_cores.reason().starts_with("/proc/self/status"), "{cpu:?}");
    }

    #[test]
    fn a_quota_below_one_core_is_one_core() {
        assert_eq!(usable(&Fact::Is(8), &Fact::Is(0.5)), Fact::Is(1));
        assert_eq!(usable(&Fact::Is(8), &Fact::Is(16.0)), Fact::Is(8));
    }

    #[test]
    fn lists_that_make_no_sense_are_not_counted() {
        assert_eq!(count_list("0-3,8"), Some(5));
        for list in ["", "3-1", "a", "0-", "0-4294967295"] {
            assert_eq!(count_list(list), None, "{list}");
        }
    }
}
