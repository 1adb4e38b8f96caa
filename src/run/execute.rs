//! Carrying out an order: hash what goes in, run the container, seal what came out.

use std::path::{Path, PathBuf};

use serde_json::Value;
use ybox_spec::Digest;
use ybox_spec::batch::BatchPlan;
use ybox_spec::config::{CacheChoice, Config, Task};
use ybox_spec::manifest::Manifest;
use ybox_spec::record::{
    Beginning, Circumstances, DataSource, ImageSource, Inputs, Record, START_SCHEMA, Status,
};

use super::batch;
use super::cache::CachePlace;
use super::ending::{Heard, status};
use super::settle::Devices;
use super::{Order, RunError, StopAfter, device, recorded};
use crate::engine::{Container, Ended, Engine, Mount, Output, StopRequests};
use crate::image::StoredImage;
use crate::record::{self, FileDigests, FolderError, RunFolder, Sealed, file};
use crate::ui::{Failure, RunView, rows};

/// Where things lie inside the container.
const DATA: &str = "/data";
pub(super) const OUT: &str = "/out";
pub(super) const CONFIG_PATH: &str = "/out/config.yaml";
const CACHE: &str = "/cache";
const WEIGHTS: &str = "/weights/initial.safetensors";

/// Threads of the trainer: its pools are sized by the host's cores.
const PIDS_LIMIT: u32 = 1024;

/// How often an automatic batch that runs out of memory is halved.
const RETRIES: usize = 3;

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
    for note in &order.notes {
        view.say(note);
    }
    let manifest = hash_data(order, with.home, view)?;
    let mut beginning = beginning(order, &manifest)?;
    if let Some((folder, first)) = &order.resumes {
        recorded::same_inputs(folder, first, (&beginning.inputs, &manifest))?;
        (beginning.started, beginning.batch) = (first.started.clone(), first.batch.clone());
    }
    with.engine.prepare(&order.image)?;
    (with.listen)();
    let mut order = order.clone();
    if let (Some(auto), Config::Train(config)) = (order.batch, &order.config) {
        let plan = batch::plan(&order, config, auto, with, view)?;
        set_batch(&mut order, &plan);
        beginning.batch = Some(plan);
    }
    let cache = match order.launch.cache {
        CacheChoice::Disk => Some(CachePlace::open(with.home)?),
        _ => None,
    };
    let folder = folder(&order)?;
    let parent = folder.path().parent().unwrap_or(folder.path());
    if let Err(error) = record::remember_place(with.home, parent) {
        let where_to = with.home.display();
        view.say(&format!(
            "note: cannot write to {where_to} ({error}): `ybox gc --former` will not know that this \
             run needs its image"
        ));
    }
    view.say(&format!("run folder: {}", shown(&order, folder.path()).display()));
    let mut run = Run { order, beginning, manifest, folder, cache };
    let status = run.finish(with, view)?;
    run.seal(status, with)
}

/// An order being carried out.
struct Run {
    order: Order,
    beginning: Beginning,
    manifest: Manifest,
    folder: RunFolder,
    cache: Option<CachePlace>,
}

impl Run {
    /// Runs the trainer; once more with half the batch where an automatic one did not fit.
    fn finish(&mut self, with: &Surroundings, view: &mut RunView) -> Result<Status, Failure> {
        loop {
            self.write_start()?;
            let place = (self.folder.path(), self.cache.as_ref());
            let (heard, ended) = run_trainer(&self.order, with, place, view)?;
            let is_early = !heard.trained;
            let shown = shown(&self.order, self.folder.path());
            let of = (&self.order.config, self.order.launch.checkpointing);
            let error = match status(ended, with.stop, heard, of, shown) {
                Ok(status) => return Ok(status),
                Err(error) => error,
            };
            let Some(plan) = self.smaller(&error).filter(|_| is_early) else {
                say_what_stays(&self.order, shown, view);
                return Err(error.into());
            };
            view.say(&format!("note: {error}: trying again with batch={}", plan.batch));
            set_batch(&mut self.order, &plan);
            self.beginning.batch = Some(plan);
            self.folder.clear(self.order.config.task())?;
        }
    }

    /// What to try after an automatic batch ran out of memory. A run that goes on keeps its config.
    fn smaller(&self, error: &RunError) -> Option<BatchPlan> {
        let plan = self.beginning.batch.as_ref().filter(|_| self.order.batch.is_some())?;
        (error.is_out_of_memory() && plan.failed.len() < RETRIES).then(|| plan.halved())?
    }

    /// Writes what the trainer reads, and what the run starts from; one that goes on has it all.
    fn write_start(&mut self) -> Result<(), Failure> {
        if self.order.resumes.is_some() {
            return Ok(());
        }
        self.beginning.inputs.config = self.order.config.digest();
        let folder = self.folder.path();
        let written = record::write_config(folder, &self.order.config)
            .and_then(|()| record::write_manifest(folder, &self.manifest))
            .and_then(|()| record::write_beginning(folder, &self.beginning));
        if written.is_err() {
            self.folder.abandon();
        }
        Ok(written?)
    }

    fn seal(self, status: Status, with: &Surroundings) -> Result<Finished, Failure> {
        let Self { order, beginning, folder, .. } = self;
        let Beginning { inputs, image, data, weights, batch, started, .. } = beginning;
        let circumstances = Circumstances {
            ybox: env!("CARGO_PKG_VERSION").into(),
            started,
            finished: record::now_rfc3339(),
            image,
            data,
            weights,
            engine: plain(&with.engine.info()),
            launch: plain(&order.launch),
            batch,
            host: with.host.clone(),
        };
        let sealed = Sealed { status, inputs, config: order.config, circumstances };
        let record = record::seal(folder.path(), sealed)?;
        Ok(Finished { folder: folder.path().to_owned(), record })
    }
}

fn folder(order: &Order) -> Result<RunFolder, FolderError> {
    if let Some((folder, _)) = &order.resumes {
        return RunFolder::reopen(folder);
    }
    let (name, reuse) = (order.launch.name.as_deref(), order.launch.exist_ok);
    RunFolder::create(&order.parent, name, reuse, order.config.task())
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
        batch: None,
        started: record::now_rfc3339(),
    })
}

/// Puts the number of `plan` into the config.
fn set_batch(order: &mut Order, plan: &BatchPlan) {
    if let Config::Train(config) = &mut order.config {
        config.batch = plan.batch;
    }
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

/// Runs the container to its end; also says what was heard of it.
fn run_trainer(
    order: &Order,
    with: &Surroundings,
    (folder, cache): (&Path, Option<&CachePlace>),
    view: &mut RunView,
) -> Result<(Heard, Ended), Failure> {
    let followed = follow(&container(order, folder, cache, with.engine), with, view);
    view.ended(shown(order, &folder.join(file::EVENTS)));
    followed
}

/// Runs `container` in view of the user; what the trainer in it said, and how it ended.
pub(super) fn follow(
    container: &Container,
    with: &Surroundings,
    view: &mut RunView,
) -> Result<(Heard, Ended), Failure> {
    for note in with.engine.notes(container) {
        view.say(&note);
    }
    let mut heard = Heard::default();
    let ended = with.engine.run(container, with.stop, &mut |output| match output {
        Output::Out(text) => {
            let event = serde_json::from_str(&text).ok();
            view.line(&text, event.as_ref());
            heard.line(event);
        }
        Output::Err(text) => {
            view.say(&text);
            heard.error(text);
        }
    })?;
    Ok((heard, ended))
}

/// `folder` as it is shown.
fn say_what_stays(order: &Order, folder: &Path, view: &RunView) {
    let shown = folder.display();
    view.say(&format!("{shown} stays, without a record"));
    if order.config.task() == Task::Train {
        view.say(&format!("`ybox run train resume={shown}` goes on with it"));
    }
}

fn stop_after(point: StopAfter) -> [String; 2] {
    match point {
        StopAfter::Steps(steps) => ["--stop-after-steps".into(), steps.to_string()],
        StopAfter::Epochs(epochs) => ["--stop-after-epochs".into(), epochs.to_string()],
    }
}

/// A folder or file of the host inside the container.
pub(super) fn mount(source: &Path, target: &str, writable: bool) -> Mount {
    Mount { source: source.to_owned(), target: target.into(), writable }
}

/// A container of `image` whose trainer is called with `arguments`, on the CPU.
pub(super) fn container_of(
    image: &StoredImage,
    arguments: Vec<String>,
    mounts: Vec<Mount>,
    engine: &dyn Engine,
) -> Container {
    Container {
        image: image.clone(),
        arguments,
        // What changes results is in the config; an environment would be an input that no hash has.
        environment: Vec::new(),
        mounts,
        user: engine.user(),
        pids_limit: PIDS_LIMIT,
        shm_size: Devices::CPU.shm_size,
        gpus: Vec::new(),
    }
}

/// The same for `order`, on its devices.
pub(super) fn container_for(
    order: &Order,
    arguments: Vec<String>,
    mounts: Vec<Mount>,
    engine: &dyn Engine,
) -> Container {
    Container {
        environment: device::environment(&order.launch, &order.devices),
        shm_size: order.devices.shm_size,
        gpus: order.devices.gpus.clone(),
        ..container_of(&order.image, arguments, mounts, engine)
    }
}

fn container(
    order: &Order,
    folder: &Path,
    cache: Option<&CachePlace>,
    engine: &dyn Engine,
) -> Container {
    let mut mounts = vec![mount(folder, OUT, true)];
    if !order.wanted.is_empty() {
        mounts.insert(0, mount(&order.root, DATA, false));
    }
    let mut arguments: Vec<String> = [
        order.config.task().name(),
        "--config",
        CONFIG_PATH,
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
    if [Task::Train, Task::Val].contains(&order.config.task()) {
        arguments.extend(["--cache".to_owned(), order.launch.cache.name().to_owned()]);
    }
    arguments.extend(device::arguments(&order.devices));
    if let Some(cache) = cache {
        mounts.push(mount(&cache.folder, CACHE, true));
        let budget = cache.budget.to_string();
        arguments.extend(["--cache-dir", CACHE, "--cache-bytes", &budget].map(str::to_owned));
    }
    if order.config.task() == Task::Train {
        let policy = order.launch.checkpointing.name();
        arguments.extend(["--checkpointing".to_owned(), policy.to_owned()]);
        if let Some(memory) = &order.launch.memory {
            arguments.extend(["--memory".to_owned(), memory.clone()]);
        }
        arguments.extend(["--checkpoint-every".into(), order.launch.checkpoint_every.clone()]);
        if let Some(hours) = order.launch.time {
            arguments.extend(["--time".to_owned(), hours.to_string()]);
        }
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
    container_for(order, arguments, mounts, engine)
}
