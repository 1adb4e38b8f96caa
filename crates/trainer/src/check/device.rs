//! What is known of a device once it can be used.

use std::time::Duration;

use serde_json::{Value, json};
use tch::Device;
use torch_ext::gpu_memory;
use ybox_spec::config::CublasWorkspace;

use crate::cuda;
use crate::device::{self, On};
use crate::error::TrainerError;
use crate::numerics;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    on: On,
    /// How long the driver may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = cuda::PATIENCE.as_secs())]
    patience: u64,
}

pub fn run(args: &Args) -> Result<Value, TrainerError> {
    let device = args.on.device();
    let mut said = json!({ "device": device::name(device) });
    if let Device::Cuda(index) = device {
        let patience = Duration::from_secs(args.patience);
        let found = numerics::use_gpu(index, patience, CublasWorkspace::default())?;
        let memory = gpu_memory(index)?;
        let (major, minor) = found.capability;
        said["name"] = found.name.into();
        said["capability"] = format!("{major}.{minor}").into();
        said["memory"] = json!({ "total": memory.total, "free": memory.free });
    }
    Ok(said)
}
