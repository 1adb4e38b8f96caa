//! The data pipeline alone: batches from the loader, with one thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use ybox_spec::Digest;
use ybox_spec::config::TrainConfig;
use ybox_spec::dataset::DataSet;
use ytrain::data::disk::DiskCache;
use ytrain::data::{Loader, ScanOptions, Split, cache, scan};

use crate::{Outcome, prepare};

/// Pictures per second of the loader
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Description of the data set
    data: PathBuf,
    #[arg(long, default_value_t = 640)]
    imgsz: u32,
    #[arg(long, default_value_t = 16)]
    batch: u32,
    /// Epochs that are timed, after one that is not
    #[arg(long, default_value_t = 3)]
    epochs: u32,
    /// Keep no decoded pictures: decode each one whenever it is needed
    #[arg(long, conflicts_with = "disk_cache")]
    no_cache: bool,
    /// Keep decoded pictures in this folder instead of in memory
    #[arg(long, value_name = "DIR")]
    disk_cache: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let disk = match &args.disk_cache {
        Some(folder) => Some(Arc::new(DiskCache::open(folder, Digest::of(b"bench"), u64::MAX)?)),
        None => None,
    };
    let in_memory = !args.no_cache && disk.is_none();
    let cache_bytes = if in_memory { cache::DEFAULT_BYTES } else { 0 };
    let split = train_split(&DataSet::open(&args.data)?, args.imgsz, cache_bytes, disk)?;
    let config = TrainConfig { imgsz: args.imgsz, batch: args.batch, ..TrainConfig::default() };
    let loader = Loader::new(Arc::clone(&split), &config, 1);
    let mut started = Instant::now();
    for epoch in 0..=args.epochs {
        if epoch == 1 {
            started = Instant::now();
        }
        for batch in loader.epoch(epoch)? {
            std::hint::black_box(batch?);
        }
    }
    let images = split.len() as f64 * f64::from(args.epochs);
    println!("{}", json!({ "images_per_second": images / started.elapsed().as_secs_f64() }));
    Ok(())
}

/// The pictures to train on.
pub fn train_split(
    set: &DataSet,
    imgsz: u32,
    cache_bytes: u64,
    disk: Option<Arc<DiskCache>>,
) -> Result<Arc<Split>, Box<dyn std::error::Error>> {
    let manifest = prepare::manifest(set, &["train"])?;
    let classes = set.names().len() as u32;
    let options = ScanOptions { classes, names: None, imgsz, workers: 1, cache_bytes, disk };
    Ok(Arc::new(scan(&manifest, set.root(), "train", &options, |_, _| {})?))
}
