//! Trainings by the real command on a few drawn pictures, which train and val share.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Config, TrainConfig};

use super::data_support::{Drawn, patterned};

/// Batches of four pictures of side 96, one epoch.
pub fn config() -> TrainConfig {
    let mut config = TrainConfig {
        names: ["a", "b", "c"].map(String::from).into(),
        epochs: 1,
        batch: 4,
        imgsz: 96,
        amp: Amp::Off,
        ..TrainConfig::default()
    };
    config.compute.attention = AttentionPath::Flash;
    // So that a busy machine does not make the threads wait for each other.
    config.compute.threads = 1;
    config
}

/// Data of so many pictures.
pub struct Data {
    drawn: Drawn,
    manifest: String,
}

impl Data {
    pub fn of(pictures: usize) -> Self {
        let drawn = patterned(pictures);
        let train = drawn.manifest().to_string();
        let val: String =
            train.lines().map(|line| line.replace(" train ", " val ") + "\n").collect();
        Self { manifest: train + &val, drawn }
    }

    /// A run folder in which nothing was run yet.
    pub fn run(&self, config: &TrainConfig) -> Run {
        let dir = TempDir::new().unwrap();
        let text = serde_yaml::to_string(&Config::Train(config.clone())).unwrap();
        fs::write(dir.path().join("config.yaml"), text).unwrap();
        fs::write(dir.path().join("data.manifest"), &self.manifest).unwrap();
        Run { dir, data: self.drawn.root().to_owned() }
    }
}

pub struct Run {
    dir: TempDir,
    data: PathBuf,
}

impl Run {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `ytrain train` with `arguments`, without pictures.
    pub fn train(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ytrain"));
        let out: &Path = self.dir.path();
        command
            .arg("train")
            .arg("--config")
            .arg(out.join("config.yaml"))
            .arg("--manifest")
            .arg(out.join("data.manifest"))
            .arg("--data")
            .arg(&self.data)
            .arg("--out")
            .arg(out)
            .arg("--no-plots")
            .args(arguments);
        command
    }

    /// Trains to the end.
    pub fn finish(&self, arguments: &[&str]) {
        let output = self.train(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
