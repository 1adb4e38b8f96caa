//! `ybox diff`: what differs between two runs, images, locks or recipes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use ybox_spec::files::write_atomic;

use super::{Context, ExitStatus};
use crate::diff::{Diff, DiffError, Surroundings, diff};
use crate::report;
use crate::ui::{self, Failure};

const AFTER_HELP: &str = "\
Compares in causal order: recipe, lock, image layers and their files, data, initial weights, config,
attention path and numerics, host, steps, result files, final metrics. Where two runs part, it names
the first step that differs and the most likely cause. A run without a record is compared as far as
it went. Nothing is verified: that is what `ybox verify` does.

Exit status: 0 the same (runs on different hosts may be); 1 something differs; 2 bad usage or
something unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run folder or six or more digits of a run hash, a lock file, a recipe, or an image of the
    /// local store
    a: String,
    /// Another one of the same kind
    b: String,
    /// Also write a page with both runs' curves over each other, which loads nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let with = Surroundings {
        directory: &directory,
        home: &context.settings.home,
        project: context.settings.project.as_deref(),
    };
    let diff = diff(&args.a, &args.b, &with)?;
    if let Some(path) = &args.html {
        write(path, &diff)?;
    }
    let text = match context.settings.json {
        true => machine(&diff),
        false => ui::diff(&diff),
    };
    // Nobody reading changes nothing: the exit status is the verdict.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(if diff.is_same() { ExitStatus::Yes } else { ExitStatus::No })
}

fn write(path: &Path, diff: &Diff) -> Result<(), DiffError> {
    write_atomic(path, report::render_diff(diff).as_bytes())
        .map_err(|source| DiffError::Write { path: path.to_owned(), source })
}

fn machine(diff: &Diff) -> String {
    let mut value = json!(diff);
    value["same"] = json!(diff.is_same());
    value.to_string() + "\n"
}
