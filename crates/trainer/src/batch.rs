//! `ytrain batch`: how many pictures fit into memory at a time. ybox asks before it hashes the
//! config of a training with `batch=auto`, in a container like the training's own.

use std::path::PathBuf;
use std::process::ExitCode;

use ybox_spec::batch::BatchPlan;
use ybox_spec::config::{CacheChoice, Checkpointing, TrainConfig};
use ybox_spec::events::Event;
use ybox_spec::exit;
use ybox_spec::memory::MemorySize;

use crate::caching;
use crate::device::On;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::stop::Stop;
use crate::train::{Needs, USABLE, advice};
use crate::{memory, numerics};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config, with any batch
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Folder for the log
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[arg(long, value_name = "POLICY")]
    checkpointing: Checkpointing,
    #[command(flatten)]
    on: On,
    /// The most memory to plan with
    #[arg(long, value_name = "SIZE")]
    memory: Option<MemorySize>,
    /// Share of the free memory to plan with
    #[arg(long)]
    share: f64,
    #[arg(long, value_name = "KIND")]
    cache: CacheChoice,
    /// Pictures to train on
    #[arg(long)]
    train: u32,
    /// Pictures to validate on
    #[arg(long)]
    val: u32,
}

/// Says the plan for `config`, and how that went.
pub fn main(args: &Args, config: &TrainConfig) -> ExitCode {
    let started = Emitter::create(&args.out.join("events.jsonl"))
        .and_then(|emit| Ok((emit, Stop::on_interrupt()?)))
        .map_err(TrainerError::writing(&args.out));
    let (mut emit, stop) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    emit.note("measuring-memory", "batch=auto: measuring two small batches");
    let planned = plan(args, config);
    if stop.requested() {
        return ExitCode::from(exit::INTERRUPTED);
    }
    match planned {
        Ok(plan) => {
            emit.say(Event::BatchPlan(plan));
            ExitCode::SUCCESS
        }
        Err(error) => {
            emit.say(error.to_event());
            ExitCode::from(error.exit_status())
        }
    }
}

fn plan(args: &Args, config: &TrainConfig) -> Result<BatchPlan, TrainerError> {
    numerics::use_device(args.on.device(), config.compute.cublas_workspace)?;
    let free = memory::available_bytes(numerics::device());
    let advice = || advice(&TrainConfig { batch: 1, ..config.clone() }, args.checkpointing);
    let needs = Needs::measure(&args.config, args.checkpointing)
        .map_err(|error| error.error(args.checkpointing, advice()))?;
    let plan = BatchPlan {
        checkpointing: args.checkpointing,
        share: args.share,
        free,
        available: available(args, config, free),
        fixed: needs.fixed,
        per_picture: needs.per_picture,
        pictures: args.train,
        batch: 0,
        failed: Vec::new(),
    }
    .settled();
    if plan.batch == 0 {
        let (one, available) = (MemorySize(plan.peak(1)), MemorySize(plan.available));
        let reason = format!("a batch of 1 needs {one}, and {available} may be used");
        let policy = args.checkpointing.name();
        return Err(TrainerError::NoBatch { policy, reason, advice: advice() });
    }
    Ok(plan)
}

/// What steps may take of `free` bytes: what the share and the cap leave, on a CPU beside kept
/// pictures, which no GPU holds.
fn available(args: &Args, config: &TrainConfig, free: u64) -> u64 {
    let share = (free as f64 * args.share.min(USABLE)) as u64;
    let device = numerics::device();
    let capped = memory::available_under(args.memory, free, device);
    let available = ((capped as f64 * USABLE) as u64).min(share);
    if device.is_cuda() {
        return available;
    }
    let splits = [args.train, args.val];
    available.saturating_sub(caching::expected(args.cache, splits, config.imgsz, capped))
}
