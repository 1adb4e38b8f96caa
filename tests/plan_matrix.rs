//! GPUs x drivers x number formats against expectations written down by hand from NVIDIA's and
//! PyTorch's documents, not from ybox's own tables.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

use std::cmp::Ordering::{Equal, Greater, Less};

use proptest::prelude::*;
use ybox::plan::{Device, Dtype, Plan, Refusals, Request, Tables, plan, pretend};

/// From before CUDA 12 to after the end of Volta; two stop just short of a floor.
const DRIVERS: [&str; 8] = [
    "470.256.02",
    "525.60.11",
    "525.60.13",
    "535.129.03",
    "575.57.08",
    "580.65.05",
    "580.65.06",
    "595.71.05",
];

/// What each driver gives: a variant, or the code of a refusal.
type Row = [&'static str; 8];

const OLD: &str = "driver-too-old";
const NEW: &str = "driver-too-new";
const NO_CODE: &str = "arch-not-in-image";
const NO_IMAGE: &str = "processor-not-in-image";

const KEPLER: Row = [NO_CODE; 8];
const MAXWELL_TO_VOLTA: Row =
    [OLD, OLD, "cuda126", "cuda126", "cuda126", "cuda126", "cuda126", NEW];
const TURING_TO_HOPPER: Row =
    [OLD, OLD, "cuda126", "cuda126", "cuda126", "cuda126", "cuda13", "cuda13"];
const BLACKWELL: Row = [OLD, OLD, OLD, OLD, OLD, OLD, "cuda13", "cuda13"];
/// Comes only with an ARM processor.
const ARM: Row = [NO_IMAGE; 8];

const GPUS: [(&str, &str, Row); 46] = [
    ("K80", "3.7", KEPLER),
    ("K40", "3.5", KEPLER),
    ("GTX 750 Ti", "5.0", MAXWELL_TO_VOLTA),
    ("M60", "5.2", MAXWELL_TO_VOLTA),
    ("GTX 980", "5.2", MAXWELL_TO_VOLTA),
    ("P100", "6.0", MAXWELL_TO_VOLTA),
    ("P40", "6.1", MAXWELL_TO_VOLTA),
    ("P4", "6.1", MAXWELL_TO_VOLTA),
    ("GTX 1080 Ti", "6.1", MAXWELL_TO_VOLTA),
    ("GTX 1060", "6.1", MAXWELL_TO_VOLTA),
    ("V100", "7.0", MAXWELL_TO_VOLTA),
    ("Titan V", "7.0", MAXWELL_TO_VOLTA),
    ("T4", "7.5", TURING_TO_HOPPER),
    ("Quadro RTX 8000", "7.5", TURING_TO_HOPPER),
    ("RTX 2080 Ti", "7.5", TURING_TO_HOPPER),
    ("RTX 2060", "7.5", TURING_TO_HOPPER),
    ("GTX 1660", "7.5", TURING_TO_HOPPER),
    ("GTX 1650", "7.5", TURING_TO_HOPPER),
    ("A100", "8.0", TURING_TO_HOPPER),
    ("A30", "8.0", TURING_TO_HOPPER),
    ("A40", "8.6", TURING_TO_HOPPER),
    ("A10G", "8.6", TURING_TO_HOPPER),
    ("A2", "8.6", TURING_TO_HOPPER),
    ("RTX A6000", "8.6", TURING_TO_HOPPER),
    ("RTX 3090", "8.6", TURING_TO_HOPPER),
    ("RTX 3060", "8.6", TURING_TO_HOPPER),
    ("L4", "8.9", TURING_TO_HOPPER),
    ("L40S", "8.9", TURING_TO_HOPPER),
    ("RTX 6000 Ada", "8.9", TURING_TO_HOPPER),
    ("RTX 4090", "8.9", TURING_TO_HOPPER),
    ("RTX 4060 Ti", "8.9", TURING_TO_HOPPER),
    ("H100", "9.0", TURING_TO_HOPPER),
    ("H200", "9.0", TURING_TO_HOPPER),
    ("B200", "10.0", BLACKWELL),
    ("B300", "10.3", BLACKWELL),
    ("RTX 5090", "12.0", BLACKWELL),
    ("RTX 5070 Ti", "12.0", BLACKWELL),
    ("RTX 5060", "12.0", BLACKWELL),
    ("RTX PRO 6000 Blackwell", "12.0", BLACKWELL),
    ("GB10", "12.1", ARM),
    ("GB200", "10.0", ARM),
    ("GB300", "10.3", ARM),
    ("GH200", "9.0", ARM),
    ("Jetson AGX Orin", "8.7", ARM),
    ("Jetson T5000", "11.0", ARM),
    ("Jetson Nano", "5.3", ARM),
];

fn outcome(hardware: &str, request: &Request) -> Result<Plan, Refusals> {
    let tables = Tables::built_in();
    plan(&pretend(hardware, &tables).unwrap(), request, &tables)
}

/// The variant, or the code of the first refusal.
fn verdict(outcome: &Result<Plan, Refusals>) -> &'static str {
    match outcome {
        Ok(plan) => plan.variant.name(),
        Err(refused) => refused.refusals[0].code().name(),
    }
}

/// The attention path of a number format, or the code of its refusal; none is what is chosen unasked.
fn expected_path(capability: (u32, u32), dtype: Option<Dtype>) -> (&'static str, &'static str) {
    match (capability.cmp(&(7, 5)), dtype) {
        (Less | Equal, Some(Dtype::Bf16)) => ("", "dtype-not-on-arch"),
        (Less, Some(Dtype::Fp16)) => ("fp16", "safe"),
        (Less, _) => ("fp32", "safe"),
        (Equal | Greater, Some(Dtype::Fp32)) => ("fp32", "efficient"),
        (Equal, _) => ("fp16", "efficient"),
        (Greater, Some(Dtype::Fp16)) => ("fp16", "flash"),
        (Greater, _) => ("bf16", "flash"),
    }
}

fn numbers(capability: &str) -> (u32, u32) {
    let (major, minor) = capability.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

#[test]
fn every_gpu_and_driver_gets_the_variant_that_the_documents_say() {
    let tables = Tables::built_in();
    for (name, capability, row) in GPUS {
        let facts = pretend(name, &tables).unwrap();
        let known = facts.gpus.known().unwrap()[0].capability.known().unwrap().to_string();
        assert_eq!(known, capability, "{name}");
        for (driver, expected) in DRIVERS.into_iter().zip(row) {
            let hardware = format!("{name},driver={driver}");
            assert_eq!(verdict(&outcome(&hardware, &Request::default())), expected, "{hardware}");
        }
    }
}

#[test]
fn every_gpu_driver_and_number_format_gets_its_attention_path() {
    let mut plans = 0;
    for (name, capability, row) in GPUS {
        for (driver, variant) in DRIVERS.into_iter().zip(row) {
            for dtype in [None, Some(Dtype::Fp32), Some(Dtype::Fp16), Some(Dtype::Bf16)] {
                let request = Request { dtype, ..Default::default() };
                let outcome = outcome(&format!("{name},driver={driver}"), &request);
                let (expected_dtype, path) = expected_path(numbers(capability), dtype);
                let case = format!("{name} {driver} {dtype:?}");
                if !variant.starts_with("cuda") || expected_dtype.is_empty() {
                    let expected = if variant.starts_with("cuda") { path } else { variant };
                    assert!(outcome.is_err(), "{case}");
                    assert_eq!(verdict(&outcome), expected, "{case}");
                    continue;
                }
                let plan = outcome.unwrap();
                assert_eq!(
                    (plan.dtype.name(), plan.attention.name()),
                    (expected_dtype, path),
                    "{case}"
                );
                assert_eq!((plan.numerics.name(), plan.devices), ("fast", vec![0]), "{case}");
                plans += 1;
            }
        }
    }
    assert!(plans > 500, "only {plans} plans were made");
}

#[test]
fn a_module_s_gpu_finds_no_code_even_beside_an_x86_processor() {
    for name in
        ["Jetson Nano", "Jetson TX2", "Jetson AGX Xavier", "Jetson AGX Orin", "Jetson T5000"]
    {
        let hardware = format!("{name},arch=x86_64,driver=580.65.06");
        assert_eq!(verdict(&outcome(&hardware, &Request::default())), NO_CODE, "{name}");
    }
}

#[test]
fn mixed_hosts_get_what_all_their_gpus_have_in_common() {
    for (hardware, expected) in [
        ("A100+T4,driver=580.82.07", "cuda13 efficient fp16"),
        ("A100+H100,driver=580.82.07", "cuda13 flash bf16"),
        ("A100+V100,driver=580.82.07", "cuda126 safe fp32"),
        ("T4+P100,driver=535.129.03", "cuda126 safe fp32"),
        ("RTX 5090+RTX 2080 Ti,driver=580.65.06", "cuda13 efficient fp16"),
        ("4xA100,driver=525.60.13", "cuda126 flash bf16"),
        ("H100+T4,driver=525.60.11", "driver-too-old"),
        ("RTX 5090+RTX 4090,driver=570.26", "driver-too-old"),
        ("RTX 5090+V100,driver=580.65.06", "mixed-gpus-no-common-stack"),
        ("B200+P40,driver=580.95.05", "mixed-gpus-no-common-stack"),
        ("A100+K80,driver=580.65.06", "arch-not-in-image"),
        ("T4+V100,driver=595.71.05", "driver-too-new"),
    ] {
        let outcome = outcome(hardware, &Request::default());
        let got = match &outcome {
            Ok(plan) => format!("{} {} {}", plan.variant, plan.attention.name(), plan.dtype),
            Err(refused) => refused.refusals[0].code().name().to_owned(),
        };
        assert_eq!(got, expected, "{hardware}");
    }
}

#[test]
fn a_mixed_refusal_speaks_of_every_gpu() {
    let refused = outcome("RTX 5090+V100+T4", &Request::default()).unwrap_err();
    let sentence = refused.refusals[0].sentence();
    assert!(
        sentence.contains("GPU 0 (RTX 5090, compute capability 12.0) needs cuda13;"),
        "{sentence}"
    );
    assert!(sentence.contains("GPU 1 (V100, compute capability 7.0) needs cuda126;"), "{sentence}");
    assert!(
        sentence.contains("GPU 2 (T4, compute capability 7.5) needs cuda13 or cuda126"),
        "{sentence}"
    );
}

#[test]
fn windows_has_floors_of_its_own() {
    for (driver, expected) in [
        ("525.60", OLD),
        ("527.40", OLD),
        ("527.41", "cuda126"),
        ("560.76", "cuda126"),
        // No floor is published: the CUDA version that the branch supports decides.
        ("580.88", "cuda13"),
    ] {
        let hardware = format!("RTX 4090,platform=wsl,driver={driver}");
        assert_eq!(verdict(&outcome(&hardware, &Request::default())), expected, "{driver}");
    }
}

fn some_gpu() -> impl Strategy<Value = &'static str> {
    prop::sample::select(GPUS.map(|(name, ..)| name).to_vec())
}

proptest! {
    #[test]
    fn a_host_is_planned_as_its_gpus_alone_are(
        names in prop::collection::vec(some_gpu(), 1..4),
        driver in prop::sample::select(DRIVERS.to_vec()),
    ) {
        // One processor for all, so that the GPUs alone decide.
        let host = |names: &[&str]| format!("gpu={},driver={driver},arch=x86_64", names.join("+"));
        let together = outcome(&host(&names), &Request::default());
        for (index, name) in names.iter().enumerate() {
            let alone = outcome(&host(&[name]), &Request::default());
            let request = Request { device: Device::Gpus(vec![index as u32]), ..Default::default() };
            let picked = outcome(&host(&names), &request);
            prop_assert_eq!(verdict(&alone), verdict(&picked));
            if let (Ok(alone), Ok(picked)) = (&alone, &picked) {
                prop_assert_eq!((alone.attention, alone.dtype), (picked.attention, picked.dtype));
            }
            prop_assert!(together.is_err() || alone.is_ok());
        }
    }

    #[test]
    fn every_refusal_says_what_would_do(
        name in some_gpu(),
        driver in prop::sample::select([&DRIVERS[..], &["none"]].concat()),
        arguments in prop::sample::subsequence(
            vec!["variant=cuda13", "attention=flash", "dtype=bf16", "numerics=portable", "device=1"], 0..5),
    ) {
        let request = Request::parse(&arguments).unwrap();
        if let Err(refused) = outcome(&format!("{name},driver={driver}"), &request) {
            prop_assert!(!refused.refusals.is_empty());
            for refusal in &refused.refusals {
                prop_assert!(!refusal.sentence().is_empty() && !refusal.remedy().is_empty());
                let told = refused.rules.iter().any(|rule| rule.code == refusal.code());
                prop_assert!(told, "{:?} is among no rules", refusal.code());
            }
        }
    }
}
