//! `ybox probe` and `ybox plan` on machines with a GPU, whose driver is a stand-in: each gets the
//! right variant and path, or the right refusal.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

mod standin_driver;

use std::process::{Command, Output};

use serde_json::Value;
use standin_driver::{StandIn, gpu, new_driver};

fn ybox(arguments: &[&str], driver: &StandIn) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_ybox"))
        .args(arguments)
        .env_remove("YBOX_PRETEND")
        .env("YBOX_HOME", home.path())
        .env("LD_LIBRARY_PATH", driver.folder())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {err}"))
}

/// `variant path dtype`, or the refusals' codes.
fn verdict(driver: &StandIn, wishes: &[&str]) -> String {
    let output = ybox(&[&["--json", "plan"], wishes].concat(), driver);
    let plan = json(&output);
    let planned = plan["verdict"] == "planned";
    assert_eq!(output.status.code(), Some(if planned { 0 } else { 1 }), "{plan:#}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let words: Vec<_> = match planned {
        true => ["variant", "attention", "dtype"].iter().map(|key| text(&plan[key])).collect(),
        false => plan["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refusal| text(&refusal["code"]))
            .collect(),
    };
    words.join(" ")
}

#[test]
fn each_machine_gets_its_variant_and_path_or_its_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let driver = StandIn::new(folder.path(), "");
    let machines: Vec<(String, &[&str], &str)> = vec![
        (standin_driver::t4(), &[], "cuda13 efficient fp16"),
        (standin_driver::t4(), &["attention=flash"], "flash-needs-sm80"),
        (standin_driver::t4(), &["dtype=bf16"], "dtype-not-on-arch"),
        (standin_driver::cuda12_driver(), &[], "cuda126 efficient fp16"),
        (standin_driver::v100(), &[], "cuda126 safe fp32"),
        (standin_driver::v100_dropped(), &[], "driver-too-new"),
        (standin_driver::a100(), &[], "cuda13 flash bf16"),
        (standin_driver::a100(), &["device=cpu"], "cpu flash fp32"),
        (standin_driver::h100(), &[], "cuda13 flash bf16"),
        (standin_driver::rtx_5090(), &[], "cuda13 flash bf16"),
        (standin_driver::rtx_5090(), &["variant=cuda126"], "arch-not-in-image"),
        (standin_driver::two_gpus(), &[], "cuda13 efficient fp16"),
        (standin_driver::two_gpus(), &["device=0"], "cuda13 flash bf16"),
        (standin_driver::two_gpus_apart(), &[], "mixed-gpus-no-common-stack"),
        (
            standin_driver::two_gpus(),
            &["device=GPU-00000000-0000-4000-8000-000000000001"],
            "cuda13 efficient fp16",
        ),
        (standin_driver::two_gpus(), &["device=GPU-0000"], "no-such-device"),
        (standin_driver::two_gpus(), &["device=cuda:0,1"], "cuda13 efficient fp16"),
        (standin_driver::two_gpus(), &["device=2"], "no-such-device"),
        (standin_driver::old_driver(), &[], "driver-too-old"),
        (standin_driver::full(), &[], "gpu-memory-short"),
        (standin_driver::full(), &["device=cpu"], "cpu flash fp32"),
        (standin_driver::broken(999, 9), &[], "driver-unknown"),
    ];
    for (table, wishes, expected) in machines {
        driver.becomes(&table);
        assert_eq!(verdict(&driver, wishes), expected, "{wishes:?} on\n{table}");
    }
}

#[test]
fn what_the_driver_says_is_what_is_probed() {
    let folder = tempfile::tempdir().unwrap();
    let table = new_driver(&[gpu(0, "Tesla T4", "7.5", 15), gpu(1, "NVIDIA L4", "8.9", 22)]);
    let facts = json(&ybox(&["--json", "probe"], &StandIn::new(folder.path(), &table)));
    assert_eq!(facts["driver"]["version"], "580.82.07");
    assert_eq!(facts["driver"]["cuda"], "13.0");
    let second = &facts["gpus"][1];
    assert_eq!(second["name"], "NVIDIA L4");
    assert_eq!(second["uuid"], standin_driver::uuid(1));
    assert_eq!(second["capability"], "8.9");
    assert_eq!(second["memory"], 22_u64 << 30);
    assert_eq!(second["pci"], "0000:02:00.0");
}

/// `cuInit` fails in many ways, each with its own remedy, while NVML goes on listing GPUs.
#[test]
fn a_driver_that_fails_is_said_with_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let driver = StandIn::new(folder.path(), "");
    for (code, name, remedy) in [
        (999, "CUDA_ERROR_UNKNOWN", "nvidia_uvm"),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "reboot"),
        (804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "cuda-compat"),
        (802, "CUDA_ERROR_SYSTEM_NOT_READY", "nvidia-fabricmanager"),
        (100, "CUDA_ERROR_NO_DEVICE", "/dev/nvidia*"),
        (34, "CUDA_ERROR_STUB_LIBRARY", "stubs"),
    ] {
        driver.becomes(&standin_driver::failing(code));
        let plan = json(&ybox(&["--json", "plan"], &driver));
        let refusal = &plan["refusals"][0];
        assert_eq!(refusal["code"], "cuda-does-not-start", "{plan:#}");
        assert!(refusal["reason"].as_str().unwrap().ends_with(name), "{refusal}");
        assert!(refusal["remedy"].as_str().unwrap().contains(remedy), "{refusal}");
    }
}

/// As in a container that was given the driver's tools, and not what computes.
#[test]
fn a_driver_without_its_cuda_library_says_to_install_that() {
    let folder = tempfile::tempdir().unwrap();
    let driver = StandIn::new(folder.path(), &standin_driver::t4());
    std::fs::remove_file(driver.folder().join("libcuda.so.1")).unwrap();
    let plan = json(&ybox(&["--json", "plan"], &driver));
    let refusal = &plan["refusals"][0];
    assert_eq!(refusal["code"], "cuda-does-not-start", "{plan:#}");
    assert!(refusal["remedy"].as_str().unwrap().contains("NVIDIA_DRIVER_CAPABILITIES"), "{plan:#}");
}

#[test]
fn gpus_that_can_t_reach_each_other_make_a_plan_without_peer_access() {
    let folder = tempfile::tempdir().unwrap();
    let gpus = [
        gpu(0, "NVIDIA GeForce RTX 4090", "8.9", 24),
        gpu(1, "NVIDIA GeForce RTX 4090", "8.9", 24),
    ];
    let driver = StandIn::new(folder.path(), &new_driver(&gpus));
    let plan = |wishes: &[&str]| json(&ybox(&[&["--json", "plan"], wishes].concat(), &driver));
    assert_eq!(plan(&[])["p2p_disable"], Value::Null);
    // NVML's "chipset not supported".
    driver.becomes(&(new_driver(&gpus) + "p2p 1\n"));
    assert_eq!(plan(&[])["p2p_disable"], true);
    assert_eq!(plan(&["device=1"])["p2p_disable"], Value::Null);
}

#[test]
fn a_driver_that_hangs_is_left_behind_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let driver = StandIn::new(folder.path(), &standin_driver::hung());
    let plan = json(&ybox(&["--json", "plan"], &driver));
    let refusal = &plan["refusals"][0];
    assert_eq!(refusal["code"], "driver-unknown");
    assert!(
        refusal["reason"].as_str().unwrap().contains("did not answer within 10 s"),
        "{refusal}"
    );
}
