//! `ybox doctor`: what may keep ybox from working here, and how to mend it.

use std::io::{self, Write};
use std::path::PathBuf;

use super::probe::{Pretend, learn};
use super::{Context, ExitStatus};
use crate::doctor::{self, Check};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Nothing is changed. Exit status: 0 all is well; 1 a check found trouble; 2 bad usage or something
unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    pretend: Pretend,
    /// A data set that has to be readable: its YAML file
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Read the stored images whole and compare their digests, which takes a while
    #[arg(long)]
    deep: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let facts = learn(&args.pretend, context)?;
    let checks = doctor::examine(&facts, &context.settings, args.data.as_deref(), args.deep);
    let text = match context.settings.json {
        true => format!("{:#}\n", doctor::json(&checks)),
        false => doctor::human(&checks),
    };
    // Nobody reading changes nothing: the exit status is the verdict.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(if checks.iter().any(Check::is_ill) { ExitStatus::No } else { ExitStatus::Yes })
}
