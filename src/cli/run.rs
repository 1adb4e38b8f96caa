//! `ybox run`: trains, validates, predicts or exports in a container and seals the run folder.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ybox_spec::config::Task;
use ybox_spec::record::Status;

use super::probe::{Pretend, learn_once};
use super::{Context, ExitStatus};
use crate::engine::{self, Host, Selection, StopRequests};
use crate::image::{Store, StoredImage};
use crate::probe::Facts;
use crate::run::{self, Finished, Order, Request, Surroundings};
use crate::trust::Policy;
use crate::ui::{Failure, RunView, Screen};

const AFTER_HELP: &str = "\
Settings:
  data=FILE.yaml        the data set (train, val)
  model=NAME            yolov12{n,s,m,l,x} or yolo12{n,s,m,l,x} (train)
  weights=FILE          safetensors to start from, to validate, to predict with or to export
  source=PATH           a picture, a folder or a glob (predict)
  nms=True              the graph ends with non-maximum suppression (export)
  epochs= batch= imgsz= seed= optimizer= lr0= conf= iou= attention= numerics= ...
  cfg=FILE              settings to use instead of the model's preset
  batch=auto            the largest batch that fits into memory (train)
  resume=RUN            go on with a training that was killed or interrupted
  device=0              cpu, a GPU by index (0, cuda:0), several (0,1), all, or by UUID (GPU-...)
  p2p=off               keep several GPUs from each other's memory (NCCL_P2P_DISABLE=1)
  time=HOURS            stop then, with what was reached; resume=RUN goes on (train)
  workers= cache= checkpointing= memory= checkpoint_every= project= name= exist_ok= plots=
                        change no result

Standard output ends with the input hash, the result hash and the run hash.

Exit status: 0 the run is complete, or has spent its time=, and is recorded; 1 refused, or the trainer failed and said why;
2 bad usage or something unexpected; 3 out of memory; 130 stopped by Ctrl-C (once: saved and
recorded as interrupted; twice: killed, without a record).";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[arg(value_enum)]
    task: TaskArg,
    /// Settings
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// What runs the container: auto, docker, podman or embedded
    #[arg(long, default_value = "auto")]
    engine: engine::Choice,
    #[command(flatten)]
    pretend: Pretend,
    /// Image to run [default: ybox/cpu:latest, on GPUs ybox/VARIANT:latest]
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TaskArg {
    /// Train on a data set
    Train,
    /// Measure weights on a data set
    Val,
    /// Detect objects on pictures
    Predict,
    /// Write weights as an ONNX graph
    Export,
}

impl From<TaskArg> for Task {
    fn from(task: TaskArg) -> Self {
        match task {
            TaskArg::Train => Self::Train,
            TaskArg::Val => Self::Val,
            TaskArg::Predict => Self::Predict,
            TaskArg::Export => Self::Export,
        }
    }
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let request = Request {
        task: args.task.into(),
        arguments: args.settings,
        image: args.image,
        directory: directory.clone(),
    };
    let store = Store::open(&context.settings)?;
    let known = OnceCell::new();
    let order = run::resolve(&request, &store, &|asked| {
        run::settle(learn_once(&known, &args.pretend, context)?, asked)
    })?;
    let facts = known.get().expect("every task has its compute settled");
    let (finished, mut view) = carry_out(&order, facts, args.engine, context, &store)?;
    report(&finished, &directory, &mut view, context.settings.json);
    Ok(match finished.record.status {
        Status::Completed | Status::OutOfTime => ExitStatus::Yes,
        Status::Interrupted => ExitStatus::Interrupted,
    })
}

/// Runs `order` by the engine of choice, in view of the user. `facts` are those of this host.
pub(super) fn carry_out(
    order: &Order,
    facts: &Facts,
    engine: engine::Choice,
    context: &Context,
    store: &Store,
) -> Result<(Finished, RunView), Failure> {
    admit(store, &order.image, context)?;
    let selection = engine::select(engine, &Host::read(|name| std::env::var_os(name)), store)?;
    let screen = context.screen();
    let mut view = match context.settings.json {
        true => RunView::streaming(Box::new(io::stdout())),
        false => RunView::talking(screen.clone()),
    };
    view.say(&chosen(&selection));
    if let Some(note) = run::unused_gpus(facts, &order.devices) {
        view.say(&format!("note: {note}"));
    }
    let stop = Arc::new(StopRequests::new(0));
    let finished = run::execute(
        order,
        &Surroundings {
            engine: &*selection.engine,
            home: &context.settings.home,
            host: serde_json::to_value(facts).expect("facts are plain data"),
            stop: &stop,
            listen: &|| listen(context, &stop, &screen),
        },
        &mut view,
    )?;
    Ok((finished, view))
}

/// Fails where there is a trust policy and it refuses the image.
pub(super) fn admit(store: &Store, image: &StoredImage, context: &Context) -> Result<(), Failure> {
    if let Some(policy) = Policy::of(&context.settings)? {
        policy.admit(store, image)?;
    }
    Ok(())
}

/// Which engine runs it, and why not one that is preferred.
fn chosen(selection: &Selection) -> String {
    let info = selection.engine.info();
    let over: Vec<_> = selection.passed_over.iter().map(|p| p.reason.as_str()).collect();
    let over = if over.is_empty() { String::new() } else { format!(" ({})", over.join("; ")) };
    format!("engine: {} {}{over}", info.kind, info.version)
}

/// Counts requests to stop: Ctrl-C, or SIGTERM from whoever manages this process.
fn listen(context: &Context, stop: &Arc<StopRequests>, screen: &Screen) {
    use tokio::signal::unix::{SignalKind, signal};
    let (stop, screen) = (stop.clone(), screen.clone());
    let _inside = context.runtime.enter();
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate)] = signals else {
        return screen
            .say("note: signals cannot be caught; Ctrl-C will end the run without saving");
    };
    context.runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match stop.fetch_add(1, Ordering::SeqCst) {
                0 => screen.say("stopping: the trainer saves its state; once more kills it"),
                1 => screen.say("killing the trainer"),
                // Saturates: the counter has 8 bits.
                _ => stop.store(2, Ordering::SeqCst),
            }
        }
    });
}

fn report(finished: &Finished, directory: &Path, view: &mut RunView, json: bool) {
    let record = &finished.record;
    let folder = finished.folder.strip_prefix(directory).unwrap_or(&finished.folder);
    if json {
        let line = serde_json::json!({
            "event": "record",
            "folder": folder,
            "status": record.status,
            "input_hash": record.input_hash,
            "result_hash": record.result_hash,
            "run_hash": record.run_hash,
        });
        return view.stream(&line.to_string());
    }
    view.say(&format!("recorded in {}", folder.display()));
    let hashes =
        [("input", record.input_hash), ("result", record.result_hash), ("run", record.run_hash)];
    for (name, hash) in hashes {
        // Nobody reading is no error of the run.
        let _ = writeln!(io::stdout(), "{name:<6}  {hash}");
    }
}
