//! `checkpointing=auto` by the real command: it plans with what it is given, trains with the policy
//! that fits, and the weights are those of any other policy.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod data_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Checkpointing, Config, TrainConfig};
use ybox_spec::events::{Event, read_log};
use ybox_spec::memory::MemoryPlan;

fn config() -> TrainConfig {
    let mut config = TrainConfig {
        names: ["a", "b", "c"].map(String::from).into(),
        epochs: 1,
        batch: 4,
        imgsz: 96,
        amp: Amp::Off,
        ..TrainConfig::default()
    };
    config.compute.attention = AttentionPath::Flash;
    config
}

/// A folder with a config, and a manifest of data that train and val share.
fn prepared() -> (TempDir, data_support::Drawn) {
    let out = TempDir::new().unwrap();
    let drawn = data_support::patterned(4);
    let text = serde_yaml::to_string(&Config::Train(config())).unwrap();
    fs::write(out.path().join("config.yaml"), text).unwrap();
    let train = drawn.manifest().to_string();
    let val: String = train.lines().map(|line| line.replace(" train ", " val ") + "\n").collect();
    fs::write(out.path().join("data.manifest"), train + &val).unwrap();
    (out, drawn)
}

fn train(out: &Path, data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ytrain"))
        .arg("train")
        .arg("--config")
        .arg(out.join("config.yaml"))
        .arg("--manifest")
        .arg(out.join("data.manifest"))
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out)
        .arg("--no-plots")
        .args(arguments)
        .output()
        .unwrap()
}

/// The plan, and the weights that came of it.
fn trained(arguments: &[&str]) -> (Option<MemoryPlan>, Vec<u8>) {
    let (out, drawn) = prepared();
    let output = train(out.path(), drawn.root(), arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(out.path().join("events.jsonl")).unwrap();
    let plan = read_log(&log).unwrap().0.into_iter().find_map(|line| match line.event {
        Event::MemoryPlan(plan) => Some(plan),
        _ => None,
    });
    (plan, fs::read(out.path().join("weights/last.safetensors")).unwrap())
}

#[test]
fn auto_takes_what_fits_and_trains_to_the_same_bits() {
    let (none, weights) = trained(&["--checkpointing", "none"]);
    assert_eq!(none, None);
    let (plan, tight) = trained(&["--checkpointing", "auto", "--memory", "1MiB"]);
    let plan = plan.unwrap();
    assert_eq!(plan.policies.len(), Checkpointing::ALL.len());
    let peak = |policy| plan.policies.iter().find(|p| p.policy == policy).unwrap().peak;
    assert!(peak(Checkpointing::LayerHead) < peak(Checkpointing::None), "{plan:?}");
    assert!(!plan.fits());
    let least = plan.policies.iter().min_by_key(|planned| planned.peak).unwrap();
    assert_eq!(plan.chosen, least.policy);
    assert!(tight == weights, "neither planning nor the policy changes the weights");
}
