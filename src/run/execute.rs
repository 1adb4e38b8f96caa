//! Carrying out an order: hash what goes in, run the container, seal what came out.

use std::path::{Path, PathBuf};

use serde_json::Value;
use ybox_spec::Digest;
use ybox_spec::config::Task;
use ybox_spec::manifest::Manifest;
use ybox_spec::record::{
    Beginning, Circumstances, DataSource, ImageSource, Inputs, Record, START_SCHEMA, Status,
};

use super::ending::{Heard, status};
use super::{Order, RunError, StopAfter, recorded};
use crate::engine::{Container, Engine, Mount, Output, StopRequests};
use crate::record::{self, FileDigests, RunFolder, Sealed, file};
use crate::ui::{Failure, RunView, rows};

/// Where things lie inside the container.
const DATA: &str = "/data";
const OUT: &str = "/out";
const WEIGHTS: &str = "/weights/initial.safetensors";

/// Threads of the trainer: its pools are sized by the host's cores.
pub(super) const PIDS_LIMIT: u32 = 1024;
pub(super) const SHM_SIZE: u64 = 64 << 20;

/// What an order is carried out with.
pub struct Surroundings<'a> {
    pub engine: &'a dyn Engine,
    /// Where digests of data files are remembered.
    pub home: &'a Path,
    /// Facts about this host, for the record.
    pub host: Value,
    pub stop: &'a StopRequests,
    /// Called before the container starts: from then on a request to stop is the trainer's to obey.
    pub listen: &'a dyn Fn(),
}

/// A run with its record.
#[derive(Debug)]
pub struct Finished {
    /// Absolute.
    pub folder: PathBuf,
    pub record: Record,
}

/// Runs `order` to its end.
pub fn execute(
    order: &Order,
    with: &Surroundings,
    view: &mut RunView,
) -> Result<Finished, Failure> {
    let manifest = hash_data(order, with.home, view)?;
    let beginning = beginning(order, &manifest)?;
    if let Some((folder, recorded)) = &order.resumes {
        recorded::same_inputs(folder, recorded, (&beginning.inputs, &manifest))?;
    }
    with.engine.prepare(&order.image)?;
    let folder = folder(order, &beginning, &manifest)?;
    view.say(&format!("run folder: {}", shown(order, folder.path()).display()));

    let status = run_trainer(order, with, folder.path(), view)?;
    let Beginning { inputs, image, data, weights, .. } = beginning;
    let started = order.resumes.as_ref().map_or(beginning.started, |(_, b)| b.started.clone());
    let circumstances = Circumstances {
        ybox: env!("CARGO_PKG_VERSION").into(),
        started,
        finished: record::now_rfc3339(),
        image,
        data,
        weights,
        engine: plain(&with.engine.info()),
        launch: plain(&order.launch),
        host: with.host.clone(),
    };
    let sealed = Sealed { status, inputs, config: order.config.clone(), circumstances };
    let record = record::seal(folder.path(), sealed)?;
    Ok(Finished { folder: folder.path().to_owned(), record })
}

/// The folder to run in, with what the trainer reads from it.
fn folder(order: &Order, beginning: &Beginning, manifest: &Manifest) -> Result<RunFolder, Failure> {
    if let Some((folder, _)) = &order.resumes {
        return Ok(RunFolder::reopen(folder)?);
    }
    let (name, reuse) = (order.launch.name.as_deref(), order.launch.exist_ok);
    let folder = RunFolder::create(&order.parent, name, reuse, order.config.task())?;
    let written = record::write_config(folder.path(), &order.config)
        .and_then(|()| record::write_manifest(folder.path(), manifest))
        .and_then(|()| record::write_beginning(folder.path(), beginning));
    match written {
        Ok(()) => Ok(folder),
        Err(error) => {
            folder.abandon();
            Err(error.into())
        }
    }
}

fn beginning(order: &Order, manifest: &Manifest) -> Result<Beginning, RunError> {
    Ok(Beginning {
        schema: START_SCHEMA.into(),
        inputs: inputs(order, manifest)?,
        image: ImageSource {
            reference: order.image.reference.clone(),
            manifest: order.image.manifest,
        },
        data: DataSource {
            root: order.root.display().to_string(),
            files: manifest.entries().len() as u64,
            bytes: manifest.size(),
        },
        weights: order.weights.as_ref().map(|path| path.display().to_string()),
        launch: order.launch.clone(),
        started: record::now_rfc3339(),
    })
}

fn plain(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

fn shown<'a>(order: &Order, path: &'a Path) -> &'a Path {
    path.strip_prefix(&order.directory).unwrap_or(path)
}

fn hash_data(order: &Order, home: &Path, view: &mut RunView) -> Result<Manifest, Failure> {
    let mut known = FileDigests::open(home, &order.root);
    let total = order.wanted.len() as u64;
    let bar = view.bar("hashing data", total);
    let surveyed = record::survey(&order.root, &order.wanted, &mut known, &|done| {
        bar.position(done as u64, total);
    });
    drop(bar);
    if let Err(error) = known.save(home) {
        view.say(&format!("note: digests of the data cannot be remembered: {error}"));
    }
    let manifest = surveyed?;
    if order.wanted.is_empty() {
        return Ok(manifest);
    }
    let (files, size) = (manifest.entries().len() as u64, rows::bytes(manifest.size()));
    view.say(&format!("data: {} files, {size}, in {}", rows::grouped(files), order.root.display()));
    Ok(manifest)
}

fn inputs(order: &Order, manifest: &Manifest) -> Result<Inputs, RunError> {
    let hash = |path: &PathBuf| {
        let read = |source| RunError::Read { path: path.clone(), source };
        Digest::of_file(path).map(|(digest, _)| digest).map_err(read)
    };
    Ok(Inputs {
        image: order.image.config,
        config: order.config.digest(),
        data: manifest.root(),
        weights: order.weights.as_ref().map(hash).transpose()?,
        attention: order.config.attention(),
        numerics: order.config.compute().numerics,
    })
}

/// Runs the container; the error is the trainer's own where it gave one.
fn run_trainer(
    order: &Order,
    with: &Surroundings,
    folder: &Path,
    view: &mut RunView,
) -> Result<Status, Failure> {
    let container = container(order, folder, with.engine);
    let mut heard = Heard::default();
    (with.listen)();
    let ended = with.engine.run(&container, with.stop, &mut |output| match output {
        Output::Out(text) => {
            let event = serde_json::from_str(&text).ok();
            view.line(&text, event.as_ref());
            heard.line(event);
        }
        Output::Err(text) => {
            view.say(&text);
            heard.error(text);
        }
    });
    view.ended(shown(order, &folder.join(file::EVENTS)));
    let status = status(
        ended?,
        with.stop,
        heard,
        (&order.config, order.launch.checkpointing),
        shown(order, folder),
    );
    if status.is_err() {
        let shown = shown(order, folder).display();
        view.say(&format!("{shown} stays, without a record"));
        if order.config.task() == Task::Train {
            view.say(&format!("`ybox run train resume={shown}` goes on with it"));
        }
    }
    Ok(status?)
}

fn stop_after(point: StopAfter) -> [String; 2] {
    match point {
        StopAfter::Steps(steps) => ["--stop-after-steps".into(), steps.to_string()],
        StopAfter::Epochs(epochs) => ["--stop-after-epochs".into(), epochs.to_string()],
    }
}

fn container(order: &Order, folder: &Path, engine: &dyn Engine) -> Container {
    let mount = |source: &Path, target: &str, writable| Mount {
        source: source.to_owned(),
        target: target.into(),
        writable,
    };
    let mut mounts = vec![mount(folder, OUT, true)];
    if !order.wanted.is_empty() {
        mounts.insert(0, mount(&order.root, DATA, false));
    }
    let mut arguments: Vec<String> = [
        order.config.task().name(),
        "--config",
        &format!("{OUT}/{}", file::CONFIG),
        "--manifest",
        &format!("{OUT}/{}", file::MANIFEST),
        "--data",
        DATA,
        "--out",
        OUT,
        "--workers",
        &order.launch.workers.to_string(),
    ]
    .map(str::to_owned)
    .into();
    if order.config.task() == Task::Train {
        let policy = order.launch.checkpointing.name();
        arguments.extend(["--checkpointing".to_owned(), policy.to_owned()]);
        if let Some(memory) = &order.launch.memory {
            arguments.extend(["--memory".to_owned(), memory.clone()]);
        }
        arguments.extend(["--checkpoint-every".into(), order.launch.checkpoint_every.clone()]);
        arguments.extend(order.stop_after.map(stop_after).into_iter().flatten());
    }
    if let Some(weights) = &order.weights {
        mounts.push(mount(weights, WEIGHTS, false));
        arguments.extend(["--weights".to_owned(), WEIGHTS.to_owned()]);
    }
    if order.resumes.is_some() {
        arguments.push("--resume".into());
    }
    if !order.launch.plots {
        arguments.push("--no-plots".into());
    }
    Container {
        image: order.image.clone(),
        arguments,
        // What changes results is in the config; an environment would be an input that no hash has.
        environment: Vec::new(),
        mounts,
        user: engine.user(),
        pids_limit: PIDS_LIMIT,
        shm_size: SHM_SIZE,
    }
}
