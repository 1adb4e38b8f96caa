//! `ybox data`: making and checking data sets.

use std::path::PathBuf;

use ybox_spec::dataset::DataSet;

use super::{Context, ExitStatus};
use crate::check;
use crate::run::RunError;
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
    /// Find everything that is wrong with a data set; exits with 1 where something is
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// The data set's YAML file
    data: PathBuf,
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
    match args.action {
        Action::Synth(args) => synth(&args, context),
        Action::Check(args) => check(&args, context),
    }
}

fn synth(args: &Synth, context: &Context) -> Result<ExitStatus, Failure> {
    let plan = synth::Plan { train: args.train, val: args.val, size: args.size, seed: args.seed };
    let description = synth::write(&plan, &args.folder)?;
    if context.settings.json {
        println!("{}", serde_json::json!({ "data": description }));
    } else {
        println!("{}", description.display());
    }
    Ok(ExitStatus::Yes)
}

fn check(args: &Check, context: &Context) -> Result<ExitStatus, Failure> {
    let set = DataSet::open(&args.data).map_err(RunError::from)?;
    let report = check::check(&args.data, &set);
    if context.settings.json {
        let text = serde_json::to_string(&report)
            .map_err(|e| Failure::unexpected("cannot write the report as JSON", &e))?;
        println!("{text}");
    } else {
        report.problems.iter().for_each(|problem| println!("{}", problem.shown()));
        report.notes.iter().for_each(|note| println!("note: {}", note.shown()));
        if !(report.problems.is_empty() && report.notes.is_empty()) {
            println!();
        }
        print!("{}", report.tables());
    }
    Ok(if report.problems.is_empty() { ExitStatus::Yes } else { ExitStatus::No })
}
