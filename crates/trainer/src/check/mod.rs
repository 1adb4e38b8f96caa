//! `ytrain check`: what `scripts/gpu-check.sh` measures of a device, in JSON, with nothing but this
//! program and libtorch's libraries. It runs on a CPU too, where the project's own tests use it.

pub mod attention;
mod device;
mod steps;
mod taken;

use std::process::ExitCode;

use serde_json::Value;

use crate::error::TrainerError;
use crate::out_of_memory;

#[derive(Debug, clap::Subcommand)]
pub enum Check {
    /// Ask the driver, open libtorch's CUDA part, and say what is there
    Device(device::Args),
    /// Compare the fused attention paths with the plain one: results, gradients, memory
    Attention(attention::Args),
    /// Train on made-up pictures: the digest of the weights, the memory and the speed
    Steps(steps::Args),
}

pub fn main(check: &Check) -> ExitCode {
    let checked = out_of_memory::noticed(|| run(check)).unwrap_or_else(|shortage| {
        let (tried, advice) = ("a check".to_owned(), String::new());
        Err(TrainerError::OutOfMemory { tried, advice, shortage })
    });
    match checked {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.measuring_status())
        }
    }
}

fn run(check: &Check) -> Result<Value, TrainerError> {
    match check {
        Check::Device(args) => device::run(args),
        Check::Attention(args) => attention::run(args),
        Check::Steps(args) => steps::run(args),
    }
}
