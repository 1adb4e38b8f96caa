//! NVIDIA's driver, stood in for by a small C library that answers from a table, and the machines
//! that tests pretend to be. Used by the tests of both crates; `driver.c` says what a table holds.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const GIB: u64 = 1 << 30;

/// A folder with the libraries and their table, to put into `LD_LIBRARY_PATH` or a container.
pub struct StandIn {
    folder: PathBuf,
}

impl StandIn {
    /// Compiles the libraries into `folder`, and gives them `table`.
    pub fn new(folder: &Path, table: &str) -> Self {
        let source = folder.join("driver.c");
        fs::write(&source, include_str!("driver.c")).unwrap();
        for (name, part) in [("libcuda.so.1", "CUDA"), ("libnvidia-ml.so.1", "NVML")] {
            let compiled = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-s"])
                .args([format!("-D{part}"), format!("-Wl,-soname,{name}")])
                .arg("-o")
                .arg(folder.join(name))
                .arg(&source)
                .status()
                .expect("these tests need a C compiler");
            assert!(compiled.success());
        }
        let made = Self { folder: folder.to_owned() };
        made.becomes(table);
        made
    }

    /// Whatever is asked from now on is answered from `table`.
    pub fn becomes(&self, table: &str) {
        fs::write(self.folder.join("table"), table).unwrap();
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that a container must see of it.
    pub fn files(&self) -> [PathBuf; 3] {
        ["libcuda.so.1", "libnvidia-ml.so.1", "table"].map(|name| self.folder.join(name))
    }
}

/// A driver's version, and the CUDA version that it says.
pub fn driver(version: &str, cuda: u32) -> String {
    format!("driver {version}\ncuda {cuda}\n")
}

/// A GPU of `gib` GiB of memory, nearly all of it free. Its UUID and PCI address come from `index`.
pub fn gpu(index: u8, name: &str, capability: &str, gib: u64) -> String {
    gpu_with(index, name, capability, (gib * GIB, (gib * GIB).saturating_sub(GIB / 2)))
}

/// The same, with its bytes of memory: all and free.
pub fn gpu_with(index: u8, name: &str, capability: &str, (all, free): (u64, u64)) -> String {
    format!(
        "gpu {name}; {}; {capability}; {all}; {free}; 0000:{:02x}:00.0\n",
        uuid(index),
        index + 1
    )
}

pub fn uuid(index: u8) -> String {
    format!("GPU-00000000-0000-4000-8000-0000000000{index:02x}")
}

/// A driver that serves everything from Turing on, and what it is given.
pub fn new_driver(gpus: &[String]) -> String {
    driver("580.82.07", 13_000) + &gpus.concat()
}

pub fn t4() -> String {
    new_driver(&[gpu(0, "Tesla T4", "7.5", 15)])
}

/// Volta, with a driver that still drives it, but serves CUDA 13 too.
pub fn v100() -> String {
    new_driver(&[gpu(0, "Tesla V100-SXM2-16GB", "7.0", 16)])
}

/// Volta, with a driver that has dropped it.
pub fn v100_dropped() -> String {
    driver("595.71.05", 13_020) + &gpu(0, "Tesla V100-SXM2-16GB", "7.0", 16)
}

pub fn a100() -> String {
    new_driver(&[gpu(0, "NVIDIA A100-SXM4-40GB", "8.0", 40)])
}

pub fn h100() -> String {
    new_driver(&[gpu(0, "NVIDIA H100 80GB HBM3", "9.0", 80)])
}

pub fn rtx_5090() -> String {
    new_driver(&[gpu(0, "NVIDIA GeForce RTX 5090", "12.0", 32)])
}

pub fn two_gpus() -> String {
    new_driver(&[gpu(0, "NVIDIA A100-SXM4-40GB", "8.0", 40), gpu(1, "Tesla T4", "7.5", 15)])
}

/// Two GPUs that no one variant serves.
pub fn two_gpus_apart() -> String {
    let gpus = [gpu(0, "NVIDIA GeForce RTX 5090", "12.0", 32), gpu(1, "Tesla V100", "7.0", 16)];
    new_driver(&gpus)
}

/// Too old for CUDA 13, and for CUDA 12.
pub fn old_driver() -> String {
    driver("470.256.02", 11_040) + &gpu(0, "Tesla T4", "7.5", 15)
}

/// Too old for CUDA 13 only.
pub fn cuda12_driver() -> String {
    driver("535.129.03", 12_020) + &gpu(0, "Tesla T4", "7.5", 15)
}

/// All but a gigabyte of its memory is in use.
pub fn full() -> String {
    new_driver(&[gpu_with(0, "Tesla T4", "7.5", (15 * GIB, GIB))])
}

pub fn hung() -> String {
    t4() + "hang cuInit\n"
}

/// CUDA can't start; NVML answers all the same. `code`: of cuInit, e.g. 999.
pub fn failing(code: u32) -> String {
    format!("{}fail cuInit {code}\n", t4())
}

/// Neither library can start.
pub fn broken(cuda: u32, nvml: u32) -> String {
    format!("{}fail nvmlInit_v2 {nvml}\n", failing(cuda))
}
