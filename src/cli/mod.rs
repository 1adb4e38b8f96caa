//! The command line: one file per verb, each with its arguments and what it does with them. The
//! work itself is the library's; errors are rendered here, once.

mod build;
mod data;
mod diff;
mod doctor;
mod export;
mod fetch;
mod gc;
mod images;
mod import;
mod key;
mod lock;
mod plan;
mod probe;
mod provenance;
mod pull;
mod push;
mod replay;
mod report;
mod run;
mod runs;
mod sbom;
mod verify;
mod weights;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ybox_spec::exit;

use crate::settings::{self, Settings};
use crate::trust::Policy;
use crate::ui::download::Progress;
use crate::ui::{Failure, Screen};

/// Reproducible YOLOv12 training: byte-pinned images, hashed runs, verifiable results.
#[derive(Debug, Parser)]
#[command(name = "ybox", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    settings: settings::Flags,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what this machine has: CPU, GPUs, driver, engines
    Probe(probe::Args),
    /// Check what may keep ybox from working here, and say how to mend it
    Doctor(doctor::Args),
    /// Choose variant, attention path and numerics for this machine, and say why
    Plan(plan::Args),
    /// Resolve a recipe to exact packages and hashes
    Lock(lock::Args),
    /// Download and check the inputs of a lock
    Fetch(fetch::Args),
    /// Assemble an image from its lock
    Build(build::Args),
    /// List the images of the local store
    Images(images::Args),
    /// Write an image or a run, with its documents and signatures, to one file
    Export(export::Args),
    /// Check such a file and bring in what it holds
    Import(import::Args),
    /// Print an image's bill of materials
    Sbom(sbom::Args),
    /// Print where an image or a run comes from
    Provenance(provenance::Args),
    /// Train, validate, predict or export in a container
    Run(run::Args),
    /// Recompute every hash of a run and compare
    Verify(verify::Args),
    /// Run a recorded training again and compare it step by step
    Replay(replay::Args),
    /// Explain what differs between two runs, images, locks or recipes
    Diff(diff::Args),
    /// List run folders
    Runs(runs::Args),
    /// Write a page that shows a run at a glance
    Report(report::Args),
    /// Send an image or a run to a registry
    Push(push::Args),
    /// Bring an image or a run from a registry
    Pull(pull::Args),
    /// Remove what nothing needs any more
    Gc(gc::Args),
    /// Make and check data sets
    Data(data::Args),
    /// Make keys to sign images and runs with
    Key(key::Args),
    /// Convert weights from and to PyTorch's form
    Weights(weights::Args),
}

/// What every verb is given.
pub struct Context {
    pub settings: Settings,
    pub runtime: tokio::runtime::Runtime,
}

impl Context {
    /// What relative paths are relative to.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        std::env::current_dir()
            .map_err(|e| Failure::unexpected("cannot tell the working directory", &e))
    }

    /// Where progress and notes go: nowhere, for programs.
    pub fn screen(&self) -> Screen {
        if self.settings.json { Screen::silent() } else { Screen::stderr() }
    }

    /// Says of what has come from elsewhere that nobody was asked to believe it.
    fn say_unchecked(&self, policy: Option<&Policy>) {
        if policy.is_none() {
            self.screen().say("there is no trust policy: no signature was checked");
        }
    }

    /// Where the progress of transfers goes: nowhere, for programs.
    pub fn progress(&self) -> Progress {
        if self.settings.json { Progress::silent() } else { Progress::stderr() }
    }
}

/// How a verb that could do its work ended. Exit codes: 0 yes; 1 a refusal or a mismatch; 2 bad
/// usage or the unexpected; a failure may have its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    Yes,
    No,
    /// Stopped by Ctrl-C after saving.
    Interrupted,
}

/// Parses the command line, runs the verb and renders what went wrong.
pub fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(ExitStatus::Yes) => ExitCode::SUCCESS,
        Ok(ExitStatus::No) => ExitCode::from(1),
        Ok(ExitStatus::Interrupted) => ExitCode::from(exit::INTERRUPTED),
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.exit)
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitStatus, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::unexpected("cannot start the asynchronous runtime", &e))?;
    let context = Context { settings: Settings::resolve(cli.settings)?, runtime };
    match cli.verb {
        Verb::Probe(args) => probe::run(args, &context),
        Verb::Doctor(args) => doctor::run(args, &context),
        Verb::Plan(args) => plan::run(args, &context),
        Verb::Lock(args) => lock::run(args, &context),
        Verb::Fetch(args) => fetch::run(args, &context),
        Verb::Build(args) => build::run(args, &context),
        Verb::Images(args) => images::run(args, &context),
        Verb::Export(args) => export::run(args, &context),
        Verb::Import(args) => import::run(args, &context),
        Verb::Sbom(args) => sbom::run(args, &context),
        Verb::Provenance(args) => provenance::run(args, &context),
        Verb::Run(args) => run::run(args, &context),
        Verb::Verify(args) => verify::run(args, &context),
        Verb::Replay(args) => replay::run(args, &context),
        Verb::Diff(args) => diff::run(args, &context),
        Verb::Runs(args) => runs::run(args, &context),
        Verb::Report(args) => report::run(args, &context),
        Verb::Push(args) => push::run(args, &context),
        Verb::Pull(args) => pull::run(args, &context),
        Verb::Gc(args) => gc::run(args, &context),
        Verb::Data(args) => data::run(args, &context),
        Verb::Key(args) => key::run(args, &context),
        Verb::Weights(args) => weights::run(args, &context),
    }
}
