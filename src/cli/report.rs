//! `ybox report`: one run at a glance, as a page.

use std::io::{self, Write};
use std::path::Path;

use super::{Context, ExitStatus};
use crate::record::{Parcel, file, find_folder};
use crate::report;
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Writes report.html into the run folder and prints where it is: curves, metrics by class, notes,
samples, settings and hashes in one file that loads nothing else. It is made from the other files,
completed run or not; it is no part of the record and changes nothing that `ybox verify` checks.

Exit status: 0 the report is written; 1 there is no such run; 2 bad usage or something unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run folder, or six or more digits of the hash of a run under ./runs
    run: String,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let folder = find_folder(&directory, &args.run)?;
    let shown = |path: &Path| path.strip_prefix(&directory).unwrap_or(path).display().to_string();
    let path = shown(&report::write(&folder, &shown(&folder))?);
    let line = match context.settings.json {
        true => serde_json::json!({ "report": path }).to_string(),
        false => path,
    };
    // Nobody reading is no error.
    let _ = writeln!(io::stdout(), "{line}");
    Ok(ExitStatus::Yes)
}

/// A run as it is carried elsewhere: with a report, which is written where there is none. It is called
/// `name`.
pub(super) fn parcel(folder: &Path, name: &str) -> Result<Parcel, Failure> {
    if !folder.join(file::REPORT).is_file() {
        report::write(folder, name)?;
    }
    Ok(Parcel::of(folder)?)
}
