//! `ybox provenance`.

use super::sbom::print_attached;
use super::{Context, ExitStatus};
use crate::image::IN_TOTO;
use crate::record::{find_run_or_none, statement};
use crate::ui::Failure;

/// Prints an in-toto statement (JSON) on standard output: SLSA provenance of an image, or what a run
/// started from and produced.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image of the local store, or the folder of a run
    #[arg(value_name = "IMAGE|RUN", default_value = "ybox/cpu:latest")]
    what: String,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    match find_run_or_none(&context.directory()?, &args.what)? {
        Some(folder) => {
            println!("{}", String::from_utf8_lossy(&statement::run(&folder)?));
            Ok(ExitStatus::Yes)
        }
        None => print_attached(&args.what, IN_TOTO, "provenance", context),
    }
}
