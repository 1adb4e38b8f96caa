//! A config and a manifest, as `ybox run train` hands them to the trainer.

use std::fs;
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::amp::Amp;
use ybox_spec::config::{Config, TrainConfig};
use ybox_spec::dataset::{DataSet, label_path};
use ybox_spec::manifest::{Entry, Manifest};

use crate::Outcome;

/// Write a training's config and manifest
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Description of the data set
    data: PathBuf,
    /// Folder for `config.yaml` and `data.manifest`
    out: PathBuf,
    /// Settings other than the defaults, `key=value`
    settings: Vec<String>,
}

pub fn run(args: &Args) -> Outcome {
    let set = DataSet::open(&args.data)?;
    fs::create_dir_all(&args.out)?;
    let names = set.names().to_vec();
    let config = Config::Train(TrainConfig { names, amp: Amp::Off, ..TrainConfig::default() });
    let mut config = serde_json::to_value(config)?;
    for setting in &args.settings {
        let (key, value) = setting.split_once('=').ok_or("settings are `key=value`")?;
        config[key] = serde_yaml::from_str(value)?;
    }
    fs::write(args.out.join("config.yaml"), serde_yaml::to_string(&config)?)?;
    Ok(fs::write(args.out.join("data.manifest"), manifest(&set, &["train", "val"])?.to_string())?)
}

/// Every picture and label of `splits`.
pub fn manifest(set: &DataSet, splits: &[&str]) -> Result<Manifest, Box<dyn std::error::Error>> {
    let mut entries = Vec::new();
    for split in splits {
        for image in set.images(split)? {
            let label = label_path(&image);
            if set.root().join(&label).exists() {
                entries.push(entry(set.root(), split, &label)?);
            }
            entries.push(entry(set.root(), split, &image)?);
        }
    }
    Ok(Manifest::new(entries)?)
}

fn entry(root: &Path, split: &str, path: &Path) -> Result<Entry, Box<dyn std::error::Error>> {
    let bytes = fs::read(root.join(path))?;
    let path = path.to_str().ok_or("a path is not UTF-8")?.to_owned();
    let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes));
    Ok(Entry { split: split.into(), path, size, sha256 })
}
