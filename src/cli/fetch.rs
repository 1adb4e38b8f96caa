//! `ybox fetch`: the inputs of a lock, downloaded and checked; a libtorch laid out from them.

use std::path::PathBuf;

use serde_json::json;

use super::{Context, ExitStatus};
use crate::fetch::{FetchError, Fetcher, Inputs, libtorch};
use crate::image::PACKER_REVISION;
use crate::lock::{Lock, Stale, Variants};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recipe in docker/, without `.yaml`
    variant: String,
    /// Lay out a libtorch to build the trainer against
    #[arg(long, value_name = "DIR")]
    libtorch: Option<PathBuf>,
    /// Hash again what was downloaded before
    #[arg(long)]
    deep: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let variants = Variants::of(context.settings.project.as_deref())?;
    // The packer's revision doesn't matter to what is fetched.
    let matters = |reason: &Stale| !matches!(reason, Stale::PackerChanged { .. });
    let (_, lock) = variants.fitting(&args.variant, PACKER_REVISION, matters)?;
    let fetcher = Fetcher::new(&context.settings)?.deep(args.deep);
    let inputs = context.runtime.block_on(fetcher.all(&lock))?;
    show(&lock, &inputs, context.settings.json);
    if let Some(folder) = &args.libtorch {
        let done = libtorch::lay_out(&lock, &inputs, folder).map_err(FetchError::from)?;
        let said = if done { "laid out" } else { "up to date" };
        eprintln!("libtorch in {}: {said}", folder.display());
    }
    Ok(ExitStatus::Yes)
}

fn show(lock: &Lock, inputs: &Inputs, json: bool) {
    if json {
        println!("{}", json!({"debs": inputs.debs, "wheels": inputs.wheels}));
        return;
    }
    let bytes: u64 = lock.debs.iter().map(|deb| deb.size).sum::<u64>()
        + lock.wheels.iter().map(|wheel| wheel.size).sum::<u64>();
    let count = inputs.debs.len() + inputs.wheels.len();
    eprintln!("{count} inputs are there and checked ({})", indicatif::DecimalBytes(bytes));
}
