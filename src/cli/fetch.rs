//! `ybox fetch`: the inputs of a lock, downloaded and checked.

use super::{Context, ExitStatus};
use crate::fetch::{FetchError, Fetcher};
use crate::lock::Lock;
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recipe in docker/, without `.yaml`
    variant: String,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let project = context.settings.project.clone().unwrap();
    let path = project.join("docker").join(format!("{}.lock", args.variant));
    let lock = Lock::read(&path)?.unwrap();
    let fetcher = Fetcher::new(&context.settings)?;
    let inputs = context.runtime.block_on(fetcher.all(&lock))?;
    println!("{inputs:#?}");
    Ok(ExitStatus::Yes)
}
