//! The order of a replay: that of the run, with what the user wants otherwise.

use std::path::{Path, PathBuf};

use ybox_spec::config::{Config, Launch, Task};
use ybox_spec::overrides;

use super::{Replay, from_checkpoint};
use crate::image::Store;
use crate::record::REPLAYS;
use crate::run::{Order, Recorded, RunError, Settle, Sorted, StopAfter};
use crate::ui::Failure;

/// How much is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Steps(u64),
    Epochs(u32),
    Full,
}

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `key=value`: what is to be otherwise than in the run.
    pub changes: Vec<String>,
    pub extent: Extent,
    /// Begin at the earliest checkpoint that the run kept.
    pub from_checkpoint: bool,
    /// What relative paths are relative to. Absolute.
    pub directory: PathBuf,
}

const VERB: &str = "replayed";
/// The files that are read and the names of classes are those of the run, and a replay has its place.
const WITHOUT_EFFECT: [&str; 5] = ["fraction", "single_cls", "cfg", "project", "resume"];

/// What the run in `folder` started with.
pub fn read(folder: &Path) -> Result<Recorded, RunError> {
    Recorded::read(folder, VERB)
}

pub fn order(
    recorded: Recorded,
    request: &Request,
    store: &Store,
    settle: Settle,
) -> Result<Replay, Failure> {
    let folder = recorded.folder.clone();
    let refuse = |reason: &str| Failure::from(RunError::not_again(&folder, VERB, reason));
    let Config::Train(config) = &recorded.config else {
        return Err(refuse(
            "only trainings have steps to compare; run it again and compare hashes",
        ));
    };
    let given = Sorted::from_command_line(Task::Train, &request.changes)?;
    given.refuse(&WITHOUT_EFFECT, VERB)?;
    let launch = launch(&recorded.beginning.launch, &given)?;
    let layers = [overrides::fields(config), given.config];
    let changed: ybox_spec::config::TrainConfig =
        overrides::resolve(&layers, &[]).map_err(RunError::from)?;
    let order = recorded.order(launch, changed, (&request.directory, store, settle))?;
    let mut replay = Replay {
        order: Order { parent: request.directory.join(REPLAYS), ..order },
        folder: folder.clone(),
        extent: request.extent,
        after: 0,
    };
    if request.from_checkpoint {
        if let Some(change) = recorded.config.changes(&replay.order.config).first() {
            return Err(refuse(&format!("{} cannot change in its midst", change.key)));
        }
        from_checkpoint::prepare(&mut replay, recorded.beginning)?;
    }
    replay.order.stop_after = match replay.extent {
        Extent::Full => None,
        Extent::Steps(steps) => Some(StopAfter::Steps(replay.after + steps)),
        Extent::Epochs(epochs) => Some(StopAfter::Epochs(epochs)),
    };
    Ok(replay)
}

/// Settings that change no result: those of the run, but nothing is drawn and nothing kept.
fn launch(recorded: &Launch, given: &Sorted) -> Result<Launch, RunError> {
    let launch = Launch {
        data: None,
        weights: None,
        cfg: None,
        resume: None,
        time: None,
        exist_ok: false,
        plots: false,
        checkpoint_every: "0".into(),
        ..recorded.clone()
    };
    Ok(overrides::resolve(&[overrides::fields(&launch), given.launch.clone()], &[])?)
}
