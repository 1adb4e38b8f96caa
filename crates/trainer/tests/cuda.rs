//! A GPU is asked for: what the trainer says where it can't be used, with a stand-in for the driver
//! and for libtorch's CUDA part.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod command_support;
mod data_support;
#[path = "../../../tests/standin_driver/mod.rs"]
mod standin_driver;

use std::fs;
use std::path::Path;
use std::process::Command;

use command_support::{Data, config};
use standin_driver::{StandIn, a100, driver, gpu, new_driver, t4};
use tempfile::TempDir;
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Numerics, TrainConfig};
use ybox_spec::events::{Event, read_log};

fn on_gpu() -> TrainConfig {
    let mut config = config();
    config.compute.numerics = Numerics::Fast;
    config
}

/// Exit status, code and message of a training on `device` with libraries of `folder` in front.
fn refused(config: &TrainConfig, device: &str, folder: &Path) -> (Option<i32>, String, String) {
    let run = Data::of(2).run(config);
    let path = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.display());
    let mut training = run.train(&["--device", device]);
    let output = training.env("LD_LIBRARY_PATH", path).output().unwrap();
    let (lines, _) = read_log(&run.text("events.jsonl")).unwrap();
    match lines.into_iter().next_back().map(|line| line.event) {
        Some(Event::Failed { code, message, hint }) => {
            assert!(hint.is_some_and(|hint| !hint.is_empty()), "{code} says what to do");
            (output.status.code(), code, message)
        }
        other => panic!("{other:?} {}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn without_a_driver_that_is_said() {
    let empty = TempDir::new().unwrap();
    let (status, code, message) = refused(&on_gpu(), "cuda:0", empty.path());
    assert_eq!((status, code.as_str()), (Some(4), "no-driver"));
    assert!(message.contains("libcuda.so.1"), "{message}");
}

#[test]
fn what_the_driver_says_is_explained() {
    let folder = TempDir::new().unwrap();
    let standin = StandIn::new(folder.path(), &t4());
    let failing = |code: i32| t4() + &format!("fail cuInit {code}\n");
    for (table, device, expected, part) in [
        (
            driver("535.129.03", 12_020) + &gpu(0, "Tesla T4", "7.5", 15),
            "cuda:0",
            "driver-too-old",
            "12.2",
        ),
        (new_driver(&[]), "cuda:0", "gpu-not-shown", "no GPU"),
        (a100(), "cuda:1", "no-such-device", "only GPU 0"),
        (standin_driver::v100(), "cuda:0", "arch-not-in-image", "7.0"),
        (failing(803), "cuda:0", "driver-mismatch", "error 803"),
        (failing(804), "cuda:0", "forward-compatibility", "error 804"),
        (failing(999), "cuda:0", "driver-failed", "error 999"),
        (t4() + "fail cuDeviceGetCount 3\n", "cuda:0", "driver-failed", "cuDeviceGetCount"),
    ] {
        standin.becomes(&table);
        let (status, code, message) = refused(&on_gpu(), device, folder.path());
        assert_eq!((status, code.as_str()), (Some(4), expected), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_driver_that_hangs_is_given_up() {
    let folder = TempDir::new().unwrap();
    StandIn::new(folder.path(), &(t4() + "hang cuInit\n"));
    let output = Command::new(env!("CARGO_BIN_EXE_ytrain"))
        .args(["check", "device", "--device", "cuda:0", "--patience", "1"])
        .env("LD_LIBRARY_PATH", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("did not answer within 1 s"), "{said}");
}

/// Compiles `source` to the library `name` in `folder`.
fn library(folder: &Path, name: &str, source: &str, with: &[&str]) {
    let file = folder.join("source.c");
    fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,--no-as-needed"]).arg(format!("-Wl,-soname,{name}"));
    cc.arg("-o")
        .arg(folder.join(name))
        .arg(&file)
        .args(with)
        .arg(format!("-L{}", folder.display()));
    assert!(cc.status().expect("these tests need a C compiler").success());
}

#[test]
fn a_driver_is_asked_once_and_counts_as_ybox_does() {
    let folder = TempDir::new().unwrap();
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int cuInit(unsigned flags) {
            const char *order = getenv("CUDA_DEVICE_ORDER");
            fprintf(stderr, "asked with %s\n", order ? order : "nothing");
            return (int)flags;
        }
        int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
        int cuDeviceGetCount(int *count) { *count = 1; return 0; }
        int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
        int cuDeviceGetName(char *name, int size, int device) { *name = 0; return device * size; }
        int cuDeviceGetAttribute(int *value, int attribute, int device) {
            *value = attribute == 75 ? 8 : 0;
            return device;
        }
    "#;
    library(folder.path(), "libcuda.so.1", source, &[]);
    let output = Command::new(env!("CARGO_BIN_EXE_ytrain"))
        .args(["check", "device", "--device", "cuda:0"])
        .env("LD_LIBRARY_PATH", folder.path())
        .env_remove("CUDA_DEVICE_ORDER")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let asked: Vec<_> = said.lines().filter(|line| line.starts_with("asked")).collect();
    assert_eq!(asked, ["asked with PCI_BUS_ID"], "{said}");
    assert!(said.contains("libtorch_cuda.so"), "{said}");
}

#[test]
fn a_library_that_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    StandIn::new(folder.path(), &t4());
    let refused = || refused(&on_gpu(), "cuda:0", folder.path());
    let (status, code, message) = refused();
    assert_eq!((status, code.as_str()), (Some(4), "cuda-library-missing"));
    assert!(message.contains("libtorch_cuda.so"), "{message}");

    library(folder.path(), "libcublas_stand_in.so.13", "int there;", &[]);
    library(folder.path(), "libtorch_cuda.so", "int here;", &["-l:libcublas_stand_in.so.13"]);
    fs::remove_file(folder.path().join("libcublas_stand_in.so.13")).unwrap();
    let (_, code, message) = refused();
    assert_eq!(code, "cuda-library-missing");
    assert!(message.contains("libcublas_stand_in.so.13"), "{message}");

    library(
        folder.path(),
        "libtorch_cuda.so",
        "int gone(void); int a(void) { return gone(); }",
        &[],
    );
    let (_, code, message) = refused();
    assert_eq!(code, "cuda-library-missing");
    assert!(message.contains("gone"), "{message}");
}

#[test]
fn a_library_that_brings_no_cuda_is_noticed() {
    let folder = TempDir::new().unwrap();
    StandIn::new(folder.path(), &t4());
    library(folder.path(), "libtorch_cuda.so", "int here;", &[]);
    let (status, code, _) = refused(&on_gpu(), "cuda:0", folder.path());
    assert_eq!((status, code.as_str()), (Some(4), "cuda-not-there"));
}

#[test]
fn what_a_device_does_not_have_is_refused_before_anything_is_opened() {
    let empty = TempDir::new().unwrap();
    let (status, code, _) = refused(&config(), "cuda:0", empty.path());
    assert_eq!((status, code.as_str()), (Some(1), "portable-needs-cpu"));
}

#[test]
fn an_attention_path_that_is_not_there_is_refused() {
    let mut config = TrainConfig { amp: Amp::Off, ..on_gpu() };
    config.compute.attention = AttentionPath::Efficient;
    let run = Data::of(2).run(&config);
    let output = run.train(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no-such-attention-path"), "{said}");
}

#[test]
fn several_devices_are_refused_with_a_sentence() {
    let run = Data::of(2).run(&on_gpu());
    let output = run.train(&["--device", "cuda:0,1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("on one device"));
}

#[test]
fn a_few_steps_are_measured() {
    let steps = ["--model", "yolov12n", "--batch", "1", "--imgsz", "64", "--steps", "1"];
    let output = Command::new(env!("CARGO_BIN_EXE_ytrain"))
        .args(["check", "steps"])
        .args(steps)
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["digest"].as_str().unwrap().starts_with("sha256:"), "{said}");
    assert!(said["peak"].as_u64() > said["saved"].as_u64(), "{said}");
    assert_eq!(said["images_per_second"], serde_json::Value::Null);
}

#[test]
fn the_check_of_a_gpu_ends_where_there_is_none() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/gpu-check.sh");
    let ytrain = env!("CARGO_BIN_EXE_ytrain");
    let check = |arguments: &[&str]| {
        let output = Command::new("bash").arg(script).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = check(&["--ybox", ytrain, "--ytrain", ytrain, "--libs", "/tmp"]);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("no GPU to check") && said.contains("libcuda.so.1"), "{said}");
    assert_eq!(check(&["--ytrain", ytrain]).0, Some(2));
}
