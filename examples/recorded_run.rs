//! Makes a home with a small image, and a recorded run of a stand-in for the trainer over the data
//! set `work/data` in a folder: what `scripts/bench-verify.sh` verifies.

// What a tool for measurements can't unwrap ends it.
#![allow(clippy::unwrap_used)]

#[path = "../tests/run_standin/mod.rs"]
mod run_standin;

use std::path::Path;

fn main() {
    let folder = std::env::args_os().nth(1).expect("usage: recorded_run FOLDER");
    let place = run_standin::Place::at(Path::new(&folder));
    println!("{}", place.train().folder.display());
}
