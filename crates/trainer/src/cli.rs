//! The trainer's command line, which `ybox run` calls inside the image: where inputs and outputs
//! lie. What to do is in the config; how it went is said in events on standard output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tch::Device;
use torch_ext::Precision;
use ybox_spec::config::{
    AutoCheckpointing, CacheChoice, CheckpointEvery, Checkpointing, Config, Task, TrainConfig,
};
use ybox_spec::events::Event;
use ybox_spec::exit;
use ybox_spec::memory::MemorySize;

use crate::caching::Caching;
use crate::device::On;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::job::{Job, Outcome, StopAfter};
use crate::made_from;
use crate::numerics;
use crate::stop::Stop;
use crate::{batch, check, convert, export, out_of_memory, predict, train, val};

/// The YOLOv12 trainer of ybox.
#[derive(Debug, Parser)]
#[command(name = "ytrain", version, long_version = made_from::version())]
enum Command {
    /// Train on a data set
    Train(TaskArgs),
    /// Measure weights on a data set
    Val(TaskArgs),
    /// Detect objects on pictures
    Predict(TaskArgs),
    /// Write weights as an ONNX graph
    Export(TaskArgs),
    /// Convert weights from PyTorch's form to safetensors, or back
    Convert(convert::Args),
    /// Print the bytes that a training takes; checkpointing=auto asks in a process of its own
    #[command(hide = true)]
    Measure(MeasureArgs),
    /// Say how large a batch fits; batch=auto asks before the config is hashed
    #[command(hide = true)]
    Batch(batch::Args),
    /// Measure a device; scripts/gpu-check.sh asks
    #[command(hide = true, subcommand)]
    Check(check::Check),
}

#[derive(Debug, clap::Args)]
struct TaskArgs {
    /// The resolved config
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The files to read, with their digests
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Folder that the manifest's paths are relative to
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder for everything that is written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Weights to validate, to predict with, to export, or to start training from
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    on: On,
    /// Loader threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Draw no curves and no sample pictures
    #[arg(long)]
    no_plots: bool,
    /// Where decoded pictures are kept: auto (in memory, up to 2 GiB a split), off, ram or disk
    #[arg(long, value_name = "KIND", default_value = "auto")]
    cache: CacheChoice,
    /// Folder of a cache on the disk, which no other process uses
    #[arg(long, value_name = "DIR", requires = "cache_bytes")]
    cache_dir: Option<PathBuf>,
    /// The most bytes that are added to it
    #[arg(long, value_name = "BYTES")]
    cache_bytes: Option<u64>,
    /// What runs again in backward to save memory: none, attention, layer, layer+head, or auto for
    /// the first of these that fits
    #[arg(long, value_name = "POLICY", default_value = "none")]
    checkpointing: AutoCheckpointing,
    /// The most memory that auto plans with, like 12GiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<MemorySize>,
    /// Go on with the training in --out from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// Keep a checkpoint after so many steps, like 200, or after some time, like 90s or 5m; 0 for
    /// never
    #[arg(long, value_name = "STEPS|TIME", default_value = "5m")]
    checkpoint_every: CheckpointEvery,
    /// Stop after so many steps
    #[arg(long, value_name = "N", conflicts_with = "stop_after_epochs")]
    stop_after_steps: Option<u64>,
    /// Stop after so many epochs
    #[arg(long, value_name = "N")]
    stop_after_epochs: Option<u32>,
    /// Stop after so many hours
    #[arg(long, value_name = "HOURS")]
    time: Option<f64>,
}

#[derive(Debug, clap::Args)]
struct MeasureArgs {
    config: PathBuf,
    policy: Checkpointing,
    batch: u32,
    #[command(flatten)]
    on: On,
}

pub fn main() -> ExitCode {
    let (task, args) = match Command::parse() {
        Command::Train(args) => (Task::Train, args),
        Command::Val(args) => (Task::Val, args),
        Command::Predict(args) => (Task::Predict, args),
        Command::Export(args) => (Task::Export, args),
        Command::Convert(args) => return convert::main(&args),
        Command::Measure(args) => return measure(&args),
        Command::Batch(args) => return plan_batch(&args),
        Command::Check(args) => return check::main(&args),
    };
    let started = Instant::now();
    let (config, mut job) = match prepare(task, &args, started) {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let ended = out_of_memory::noticed(|| run(&config, args.on.device(), &mut job))
        .unwrap_or_else(|shortage| Err(shortage.error(&config, job.checkpointing)));
    match ended {
        Ok(Outcome::Finished) => {
            job.emit.say(Event::Finished { seconds: started.elapsed().as_secs_f64() });
            ExitCode::SUCCESS
        }
        Ok(Outcome::Interrupted { epoch }) => {
            job.emit.say(Event::Interrupted { epoch });
            ExitCode::from(exit::INTERRUPTED)
        }
        Ok(Outcome::OutOfTime { epoch }) => {
            job.emit.say(Event::OutOfTime { epoch });
            ExitCode::from(exit::OUT_OF_TIME)
        }
        Err(error) => {
            job.emit.say(error.to_event());
            ExitCode::from(error.exit_status())
        }
    }
}

fn measure(args: &MeasureArgs) -> ExitCode {
    let measured = read_train_config(&args.config).and_then(|config| {
        let config = TrainConfig { batch: args.batch, ..config };
        let policy = AutoCheckpointing::Is(args.policy);
        let device = args.on.device();
        out_of_memory::noticed(|| train::measure(&config, args.policy, device))
            .unwrap_or_else(|shortage| Err(shortage.error(&Config::Train(config), policy)))
    });
    match measured {
        Ok(bytes) => {
            println!("{bytes}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.measuring_status())
        }
    }
}

fn plan_batch(args: &batch::Args) -> ExitCode {
    match read_train_config(&args.config) {
        Ok(config) => batch::main(args, &config),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn read_train_config(path: &Path) -> Result<TrainConfig, TrainerError> {
    match read_config(path)? {
        Config::Train(config) => Ok(config),
        other => Err(TrainerError::WrongTask { config: other.task().name() }),
    }
}

fn read_config(path: &Path) -> Result<Config, TrainerError> {
    let text = fs::read_to_string(path).map_err(TrainerError::reading(path))?;
    serde_yaml::from_str(&text)
        .map_err(|e| TrainerError::Config { path: path.to_owned(), reason: e.to_string() })
}

fn prepare(task: Task, cli: &TaskArgs, started: Instant) -> Result<(Config, Job), TrainerError> {
    let config = read_config(&cli.config)?;
    check_task(task, config.task())?;
    let text = fs::read_to_string(&cli.manifest).map_err(TrainerError::reading(&cli.manifest))?;
    let manifest = text
        .parse()
        .map_err(|source| TrainerError::Manifest { path: cli.manifest.clone(), source })?;
    let log = cli.out.join("events.jsonl");
    let log = if cli.resume { Emitter::resume(&log) } else { Emitter::create(&log) };
    let job = Job {
        manifest,
        data: cli.data.clone(),
        out: cli.out.clone(),
        weights: cli.weights.clone(),
        workers: cli.workers.max(1),
        plots: !cli.no_plots,
        checkpointing: cli.checkpointing,
        cache: Caching::new(cli.cache, cli.memory, cli.cache_dir.as_deref().zip(cli.cache_bytes))?,
        memory: cli.memory,
        config: cli.config.clone(),
        emit: log.map_err(TrainerError::writing(&cli.out))?,
        stop: Stop::on_interrupt().map_err(TrainerError::writing(&cli.out))?,
        resume: cli.resume,
        checkpoint_every: cli.checkpoint_every,
        stop_after: cli.stop_after(),
        deadline: cli.deadline(started),
    };
    Ok((config, job))
}

impl TaskArgs {
    fn stop_after(&self) -> Option<StopAfter> {
        let epochs = self.stop_after_epochs.map(StopAfter::Epochs);
        self.stop_after_steps.map(StopAfter::Steps).or(epochs)
    }

    /// `None` as well for times that end after the clock does.
    fn deadline(&self, started: Instant) -> Option<Instant> {
        let time = Duration::try_from_secs_f64(self.time? * 3600.0).ok()?;
        started.checked_add(time)
    }
}

fn check_task(asked: Task, config: Task) -> Result<(), TrainerError> {
    if asked != config {
        return Err(TrainerError::WrongTask { config: config.name() });
    }
    Ok(())
}

fn run(config: &Config, device: Device, job: &mut Job) -> Result<Outcome, TrainerError> {
    numerics::apply(config.compute(), device)?;
    numerics::try_attention(config.attention(), precision_of(config)?)?;
    match config {
        Config::Train(config) => train::run(config, job),
        Config::Val(config) => val::run(config, job).map(|()| Outcome::Finished),
        Config::Predict(config) => predict::run(config, job).map(|()| Outcome::Finished),
        Config::Export(config) => export::run(config, job).map(|()| Outcome::Finished),
    }
}

/// Only trainings are in mixed precision.
fn precision_of(config: &Config) -> Result<Option<Precision>, TrainerError> {
    match config {
        Config::Train(config) => numerics::precision(config.amp),
        _ => Ok(None),
    }
}
