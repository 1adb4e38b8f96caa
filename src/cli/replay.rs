//! `ybox replay`: runs a recorded training again and compares it step by step.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::iter;

use serde_json::json;

use super::probe::{Pretend, learn_once};
use super::pull::pull_run;
use super::run::carry_out;
use super::{Context, ExitStatus};
use crate::diff::Surroundings;
use crate::engine;
use crate::image::Store;
use crate::record::find_folder;
use crate::registry::{Place, RegistryError, connect};
use crate::replay::{self, Extent, Request};
use crate::run::{self, Recorded};
use crate::settings::RegistryFlags;
use crate::trust::Policy;
use crate::ui::{self, Failure};

const AFTER_HELP: &str = "\
Runs the image, config and data of RUN again, in runs/replay, and compares the metric chain step by
step. A run or an image that is not here is fetched from its registry. KEY=VALUE says what is to be
otherwise: data=FILE.yaml where the data set lies now, or a setting, to see from which step on it
matters.

Exit status: 0 identical (or, on other hardware under fast numerics, within tolerance, which is said);
1 something differs, or the run cannot be replayed; 2 bad usage or something unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run folder, six or more digits of the hash of a run under ./runs, or the reference of a run
    /// in a registry, HOST/REPOSITORY:TAG[@DIGEST], which is pulled first
    run: String,
    /// What is to be otherwise than in the run
    #[arg(value_name = "KEY=VALUE")]
    changes: Vec<String>,
    /// Repeat so many steps
    #[arg(long, value_name = "N", conflicts_with_all = ["epochs", "full"])]
    steps: Option<u64>,
    /// Repeat so many epochs [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "full")]
    epochs: Option<u32>,
    /// Repeat all of it, and compare the results too
    #[arg(long)]
    full: bool,
    /// Begin at the earliest checkpoint that the run kept; no setting can be otherwise then
    #[arg(long, conflicts_with = "epochs")]
    from_checkpoint: bool,
    /// What runs the container: auto, docker, podman or embedded
    #[arg(long, default_value = "auto")]
    engine: engine::Choice,
    /// Where the data set lies now: its YAML file (the same as data=FILE.yaml)
    #[arg(long, value_name = "FILE")]
    data: Option<String>,
    #[command(flatten)]
    registry: RegistryFlags,
    #[command(flatten)]
    pretend: Pretend,
}

impl Args {
    fn extent(&self) -> Extent {
        match (self.steps, self.epochs) {
            (Some(steps), _) => Extent::Steps(steps),
            (_, Some(epochs)) => Extent::Epochs(epochs),
            // What is left after a checkpoint is short enough.
            _ if self.full || self.from_checkpoint => Extent::Full,
            _ => Extent::Epochs(1),
        }
    }
}

/// The run, which is pulled if it is in a registry; its image, too.
fn find(args: &Args, context: &Context, store: &Store) -> Result<Recorded, Failure> {
    let directory = context.directory()?;
    match (find_folder(&directory, &args.run), args.run.parse::<Place>()) {
        (Err(_), Ok(place)) => {
            Ok(replay::read(&pull_run(&place, args.registry, context, store)?.folder)?)
        }
        (found, _) => {
            let recorded = replay::read(&found?)?;
            fetch_image(&recorded, args.registry, context, store)?;
            Ok(recorded)
        }
    }
}

/// Fetches the image of a run by its digest, if it is not in the store but the run or
/// the settings say which registry has it.
fn fetch_image(
    recorded: &Recorded,
    registry: RegistryFlags,
    context: &Context,
    store: &Store,
) -> Result<(), Failure> {
    let (source, config) = (&recorded.beginning.image, recorded.beginning.inputs.image);
    let settings = &context.settings;
    if settings.downloads.offline || !store.with_config(&config)?.is_empty() {
        return Ok(());
    }
    let policy = Policy::of(settings)?;
    let mut failed = None;
    for name in iter::once(&source.reference).chain(&settings.registries.images) {
        let Ok(place) = name.parse::<Place>() else { continue };
        let fetched = context.runtime.block_on(async {
            let repository = connect(settings, &place, registry).await?;
            let progress = context.progress();
            let image = (source.manifest, config);
            repository.pull_image_by(image, store, policy.as_ref(), &progress).await
        });
        match fetched {
            Err(RegistryError::NotFound(_)) => {}
            Err(error) if error.is_unavailable() => failed = failed.or(Some(error)),
            fetched => {
                fetched?;
                context.say_unchecked(policy.as_ref());
                return Ok(());
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let store = Store::open(&context.settings)?;
    let recorded = find(&args, context, &store)?;
    let data = args.data.iter().map(|data| format!("data={data}"));
    let request = Request {
        extent: args.extent(),
        changes: args.changes.iter().cloned().chain(data).collect(),
        from_checkpoint: args.from_checkpoint,
        directory: directory.clone(),
    };
    let known = OnceCell::new();
    let replay = replay::order(recorded, &request, &store, &|asked| {
        run::settle(learn_once(&known, &args.pretend, context)?, asked)
    })?;
    let facts = known.get().expect("a training has its compute settled");
    let (finished, view) = carry_out(&replay.order, facts, args.engine, context, &store)?;
    drop(view);
    let with = Surroundings {
        directory: &directory,
        home: &context.settings.home,
        project: context.settings.project.as_deref(),
    };
    let verdict = replay::compare(&replay, &finished.folder, &with)?;
    let again = finished.folder.strip_prefix(&directory).unwrap_or(&finished.folder);
    let text = match context.settings.json {
        true => {
            let mut value = json!({ "run": replay.name(&directory), "replay": again });
            value["verdict"] = json!(verdict);
            value.to_string() + "\n"
        }
        false => ui::replay(&verdict),
    };
    // Nobody reading changes nothing: the exit status is the verdict.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(if verdict.passes() { ExitStatus::Yes } else { ExitStatus::No })
}
