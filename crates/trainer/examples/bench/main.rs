//! Measures parts of the trainer for `scripts/bench-*.sh`: each call prints one JSON object. The
//! other side of each comparison is in `scripts/bench`.

#[path = "../../src/allocator.rs"]
mod allocator;
mod data;
mod infer;
mod metrics;
mod prepare;
mod process;
mod step;

use std::error::Error;

use clap::Parser;

/// What every measurement may fail with.
pub type Outcome = Result<(), Box<dyn Error>>;

#[derive(Debug, Parser)]
enum Command {
    Prepare(prepare::Args),
    Step(step::Args),
    Data(data::Args),
    Infer(infer::Args),
    Metrics(metrics::Args),
}

fn main() -> Outcome {
    match Command::parse() {
        Command::Prepare(args) => prepare::run(&args),
        Command::Step(args) => step::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Infer(args) => infer::run(&args),
        Command::Metrics(args) => metrics::run(&args),
    }
}
