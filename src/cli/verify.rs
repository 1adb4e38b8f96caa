//! `ybox verify`: recomputes every hash of a run.

use std::io::{self, Write};
use std::path::PathBuf;

use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::Store;
use crate::record::find_run;
use crate::record::verify::{Subject, verify};
use crate::trust::Policy;
use crate::ui::{self, Failure};

const AFTER_HELP: &str = "\
A record shows by itself that nothing was changed by accident. That it is the run somebody meant is
shown by --hash, with the run hash that they gave you, or by their signature: who signed a run that
was pulled, imported or pushed is judged by the trust policy.

Exit status: 0 everything that could be checked matches (the last line says what could not be);
1 something differs; 2 bad usage or something unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run folder, or six or more digits of the hash of a run under ./runs
    run: String,
    /// The run hash that it must have
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    hash: Option<Digest>,
    /// Rehash every data file and image blob, also those that look unchanged since they were hashed
    #[arg(long)]
    deep: bool,
    /// Where the data set lies now: its folder or its YAML file [default: as recorded]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
}

fn parse_hash(text: &str) -> Result<Digest, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::from_hex(digits).map_err(|_| "expected 64 hex digits".into())
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let subject = Subject {
        folder: find_run(&directory, &args.run)?,
        expected: args.hash,
        data: args.data,
        deep: args.deep,
        policy: Policy::of(&context.settings)?,
    };
    let screen = context.screen();
    let bar = screen.bar("checking data", 0);
    let report = verify(
        &subject,
        &Store::open(&context.settings)?,
        &context.settings.home,
        &|done, total| {
            bar.position(done as u64, total as u64);
        },
    );
    drop(bar);
    let text = match context.settings.json {
        true => {
            let folder = subject.folder.strip_prefix(&directory).unwrap_or(&subject.folder);
            let passes = report.passes();
            serde_json::json!({ "run": folder, "verified": passes, "checks": report.checks })
                .to_string()
                + "\n"
        }
        false => ui::checks(&report),
    };
    // Nobody reading changes nothing: the exit status is the verdict.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(if report.passes() { ExitStatus::Yes } else { ExitStatus::No })
}
