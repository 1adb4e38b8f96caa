//! `ybox data`: making data sets.

use std::path::PathBuf;

use super::{Context, ExitStatus};
use crate::synth;
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Draw a data set of coloured shapes, the same for the same seed
    Synth(Synth),
}

#[derive(Debug, clap::Args)]
struct Synth {
    /// A new folder
    folder: PathBuf,
    /// Pictures to train on
    #[arg(long, default_value_t = 256)]
    train: u32,
    /// Pictures to validate on
    #[arg(long, default_value_t = 64)]
    val: u32,
    /// Side of the pictures in pixels
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(64..=4096))]
    size: u32,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let Action::Synth(args) = args.action;
    let plan = synth::Plan { train: args.train, val: args.val, size: args.size, seed: args.seed };
    let description = synth::write(&plan, &args.folder)?;
    if context.settings.json {
        println!("{}", serde_json::json!({ "data": description }));
    } else {
        println!("{}", description.display());
    }
    Ok(ExitStatus::Yes)
}
