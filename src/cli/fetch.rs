//! `ybox fetch`: the inputs of a lock, downloaded and checked; a libtorch laid out from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, ExitStatus};
use crate::fetch::{Cache, FetchError, Fetcher, Inputs, libtorch};
use crate::image::PACKER_REVISION;
use crate::lock::{Lock, LockError, Stale, Variants};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
What --all wrote is used elsewhere with `ybox build --offline --carried DIR`, which hashes it again.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Recipe in docker/, without `.yaml`; with --all several, or none for all that are locked
    #[arg(value_name = "VARIANT", required_unless_present = "all")]
    variants: Vec<String>,
    /// Put the inputs into this folder too, to be carried to a machine without a network
    #[arg(long, value_name = "DIR")]
    all: Option<PathBuf>,
    /// Lay out a libtorch to build the trainer against
    #[arg(long, value_name = "DIR", conflicts_with = "all")]
    libtorch: Option<PathBuf>,
    /// Hash again what was downloaded before
    #[arg(long)]
    deep: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let variants = Variants::of(context.settings.project.as_deref())?;
    if let Some(folder) = &args.all {
        return carry(&args.variants, folder, &variants, context);
    }
    let [variant] = args.variants.as_slice() else {
        return Err(Failure::new("several variants are fetched only with --all DIR", 2));
    };
    let lock = fitting(&variants, variant)?;
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

/// Fetches the inputs of the named variants, or of all that are locked, into `folder`.
fn carry(
    named: &[String],
    folder: &Path,
    variants: &Variants,
    context: &Context,
) -> Result<ExitStatus, Failure> {
    let mut names = named.to_vec();
    if names.is_empty() {
        names = variants.names();
        names.retain(|name| variants.lock_path(name).is_file());
    }
    let locks = names.iter().map(|name| fitting(variants, name)).collect::<Result<Vec<_>, _>>()?;
    let fetcher = Fetcher::new(&context.settings)?.deep(true);
    let cache = Cache::in_folder(folder)?;
    let mut sizes = BTreeMap::new();
    for lock in locks {
        let mut new = lock.clone();
        new.debs.retain(|deb| !sizes.contains_key(&deb.sha256));
        new.wheels.retain(|wheel| !sizes.contains_key(&wheel.sha256));
        context.runtime.block_on(fetcher.carry(&new, &cache))?;
        sizes.extend(lock.debs.iter().map(|deb| (deb.sha256, deb.size)));
        sizes.extend(lock.wheels.iter().map(|wheel| (wheel.sha256, wheel.size)));
    }
    let bytes: u64 = sizes.values().sum();
    if context.settings.json {
        let document =
            json!({"folder": folder, "variants": names, "inputs": sizes.len(), "bytes": bytes});
        println!("{document}");
    } else {
        let (count, size) = (sizes.len(), indicatif::DecimalBytes(bytes));
        eprintln!("{}: {count} inputs ({size})", names.join(", "));
        println!("{}", folder.display());
    }
    Ok(ExitStatus::Yes)
}

/// The lock of a variant. The packer's revision doesn't matter to what is fetched.
fn fitting(variants: &Variants, variant: &str) -> Result<Lock, LockError> {
    let matters = |reason: &Stale| !matches!(reason, Stale::PackerChanged { .. });
    variants.fitting(variant, PACKER_REVISION, matters).map(|(_, lock)| lock)
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
