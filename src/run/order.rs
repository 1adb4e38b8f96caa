//! Resolving: everything that can be known and refused before anything is hashed or started.

use std::fs;
use std::path::{Path, PathBuf};

use ybox_spec::amp::Amp;
use ybox_spec::config::{
    AutoCheckpointing, CacheChoice, Compute, Config, ExportConfig, Launch, PredictConfig,
    SINGLE_CLASS, Task, TrainConfig, ValConfig, model_names,
};
use ybox_spec::dataset::{DataSet, DataSetError, Format};
use ybox_spec::overrides::{self, ConfigError, Schema, Values, keys};
use ybox_spec::record::Beginning;
use ybox_spec::weights::WeightsInfo;

use super::arguments::{self, Sorted};
use super::batch::{self, AutoBatch};
use super::device;
use super::settle::{Asked, Devices, Settled};
use super::{RunError, resume, source};
use crate::image::{Store, StoredImage};
use crate::plan::{Device, Variant};
use crate::record::{Wanted, pictures, pictures_and_labels};
use crate::ui::Failure;

/// Folder of the presets in an image.
const PRESETS: &str = "/opt/ybox/configs";

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub task: Task,
    /// `key=value`.
    pub arguments: Vec<String>,
    /// The image, if not the default one.
    pub image: Option<String>,
    /// What relative paths are relative to. Absolute.
    pub directory: PathBuf,
}

/// A run that can start.
#[derive(Debug, Clone)]
pub struct Order {
    pub config: Config,
    pub launch: Launch,
    pub devices: Devices,
    /// What to say before it starts.
    pub notes: Vec<String>,
    /// Where memory is to decide the config's batch.
    pub batch: Option<AutoBatch>,
    pub image: StoredImage,
    /// Folder that the data lie in. Absolute.
    pub root: PathBuf,
    pub wanted: Vec<Wanted>,
    /// Initial weights. Absolute.
    pub weights: Option<PathBuf>,
    /// Folder that the run folder goes into. Absolute.
    pub parent: PathBuf,
    /// Where the user is: paths are shown relative to it.
    pub directory: PathBuf,
    /// The folder of a run to go on with, and what it was started with.
    pub resumes: Option<(PathBuf, Beginning)>,
    pub stop_after: Option<StopAfter>,
}

/// Where a training is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAfter {
    Steps(u64),
    Epochs(u32),
}

/// The data side of an order: root and files.
pub(super) type Data = (PathBuf, Vec<Wanted>);

/// An image, and what it is made for.
type Image = (StoredImage, Variant);

/// Settings from both places, with the launch read.
struct Given<'a> {
    request: &'a Request,
    launch: Launch,
    device: Device,
    notes: Vec<String>,
    /// From `cfg=`.
    preset: Option<Values>,
    config: Values,
    /// A batch that was in these, and is none yet.
    batch: Option<AutoBatch>,
}

/// Settles what `auto` means here. Asking what this machine has takes a moment, so it is done once
/// everything else is known to be right.
pub type Settle<'a> = &'a dyn Fn(&Asked) -> Result<Settled, Failure>;

/// Resolves `request` against the images of `store`.
pub fn resolve(request: &Request, store: &Store, settle: Settle) -> Result<Order, Failure> {
    if let Some(order) = resume::resolve(request, store, settle)? {
        return Ok(order);
    }
    let given = Given::read(request)?;
    match request.task {
        Task::Train => train(given, store, settle),
        Task::Val => val(given, store, settle),
        Task::Predict => predict(given, store, settle),
        Task::Export => export(given, store, settle),
    }
}

impl<'a> Given<'a> {
    fn read(request: &'a Request) -> Result<Self, RunError> {
        let mut line = Sorted::from_command_line(request.task, &request.arguments)?;
        let cfg = line.launch.get("cfg").and_then(|v| v.as_str());
        let file = cfg.map(|cfg| read_preset(&request.directory.join(cfg), request.task));
        let file = file.transpose()?;
        let mut layers = vec![take_weights(request.task, &mut line)?];
        let mut preset = file.map(|file| {
            layers.insert(0, file.launch);
            file.config
        });
        let mut launch: Launch = overrides::resolve(&layers, &[])?;
        let (device, note) = device::take(&mut launch)?;
        let notes = note.into_iter().collect();
        let mut config = line.config;
        let batch = batch::take(preset.iter_mut().chain([&mut config]));
        check_autos(&launch, batch)?;
        Ok(Self { request, launch, device, notes, preset, config, batch })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.request.directory.join(path)
    }

    fn needs(&self, what: &'static str, setting: &'static str) -> RunError {
        RunError::Needs { task: self.request.task, what, setting }
    }

    fn data_set(&self) -> Result<(PathBuf, DataSet), RunError> {
        let needed = self.needs("a data set", "data=FILE.yaml");
        let path = self.path(self.launch.data.as_ref().ok_or(needed)?);
        let set = DataSet::open(&path)?;
        Ok((path, set))
    }

    fn weights(&self) -> Result<(PathBuf, WeightsInfo), RunError> {
        let needed = self.needs("weights", "weights=FILE.safetensors");
        let path = self.path(self.launch.weights.as_ref().ok_or(needed)?);
        let info = WeightsInfo::read(&path)?;
        Ok((path, info))
    }

    /// The final config: `under` below `cfg=` below the command line.
    fn config<T: Schema>(&self, under: Values) -> Result<T, RunError> {
        let layers = [under, self.preset.clone().unwrap_or_default(), self.config.clone()];
        Ok(overrides::resolve(&layers, &keys::<Launch>())?)
    }

    /// The image to run in and its variant: the one that was asked for, or that of the device.
    fn image(
        &self,
        store: &Store,
        settle: Settle,
        like: &Compute,
        amp: Amp,
    ) -> Result<Image, Failure> {
        let asked = self.request.image.as_deref();
        let image = match asked {
            None if self.device.is_gpu() => {
                find_default(store, settle(&self.asked(None, like, amp))?.variant)?
            }
            asked => find_image(store, asked)?,
        };
        let variant = device::variant(store, &image)?;
        Ok((image, variant))
    }

    fn asked(&self, variant: Option<Variant>, compute: &Compute, amp: Amp) -> Asked {
        Asked { device: self.device.clone(), variant, compute: compute.clone(), amp }
    }

    fn order(
        mut self,
        config: Config,
        (image, devices): (StoredImage, Devices),
        (root, wanted): Data,
        weights: Option<PathBuf>,
    ) -> Order {
        let default = format!("runs/{}", config.task().name());
        let parent = self.path(self.launch.project.as_deref().unwrap_or(&default));
        let directory = self.request.directory.clone();
        device::settle_peers(&mut self.launch, &devices);
        self.notes.extend(device::unused(&devices));
        Order {
            config,
            launch: self.launch,
            devices,
            notes: self.notes,
            batch: self.batch,
            image,
            root,
            wanted,
            weights,
            parent,
            directory,
            resumes: None,
            stop_after: None,
        }
    }
}

/// What is settled by memory needs the rest to be known, and a cap needs something to cap.
fn check_autos(launch: &Launch, batch: Option<AutoBatch>) -> Result<(), RunError> {
    let policy = launch.checkpointing == AutoCheckpointing::Auto;
    match &launch.memory {
        _ if policy && batch.is_some() => Err(RunError::TwoAutos),
        Some(memory) if !policy && batch.is_none() && launch.cache != CacheChoice::Ram => {
            Err(RunError::MemoryUnused { memory: memory.clone() })
        }
        _ => Ok(()),
    }
}

/// The image that was asked for, or the default one.
pub fn find_image(store: &Store, asked: Option<&str>) -> Result<StoredImage, Failure> {
    match asked {
        Some(asked) => {
            store.find(asked).map_err(|error| Failure { exit: 1, ..Failure::from(error) })
        }
        None => find_default(store, Variant::Cpu),
    }
}

/// The image that `ybox build` makes for `variant`.
fn find_default(store: &Store, variant: Variant) -> Result<StoredImage, Failure> {
    let found = store.find(&format!("ybox/{variant}:latest")).map_err(Failure::from);
    found.map_err(|failure| {
        Failure { exit: 1, ..failure }.hint(format!("make it with `ybox build {variant}`"))
    })
}

/// For all tasks but train `model=` is another name for `weights=`. Returns the launch settings.
fn take_weights(task: Task, line: &mut Sorted) -> Result<Values, RunError> {
    let mut launch = std::mem::take(&mut line.launch);
    if task == Task::Train {
        return Ok(launch);
    }
    if let Some(model) = line.config.remove("model") {
        let model = model.as_str().unwrap_or_default().to_owned();
        if model_names().any(|name| name == model) {
            return Err(RunError::ModelIsName { model, task });
        }
        match launch.get("weights").and_then(|w| w.as_str()) {
            Some(weights) if weights != model => {
                let also = format!("model={model}");
                return Err(RunError::TwoWeights { weights: weights.into(), also });
            }
            _ => launch.insert("weights".into(), model.into()),
        };
    }
    Ok(launch)
}

/// Reads `cfg=FILE`. A run's `config.yaml` will do: its task must be this one, and its names and
/// model come from the data and the weights, as ever.
fn read_preset(path: &Path, task: Task) -> Result<Sorted, RunError> {
    let text = fs::read_to_string(path)
        .map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let mut values = parse_preset(path, &text)?;
    if let Some(theirs) = values.remove("task")
        && theirs != task.name()
    {
        let theirs = theirs.as_str().unwrap_or("strange").to_owned();
        return Err(RunError::PresetTask { path: path.to_owned(), theirs, ours: task });
    }
    values.remove("names");
    if task != Task::Train {
        values.remove("model");
    }
    arguments::sort(task, values)
}

fn parse_preset(path: &Path, text: &str) -> Result<Values, RunError> {
    overrides::parse_preset(text)
        .map_err(|source| RunError::Preset { path: path.to_owned(), source })
}

fn train(given: Given, store: &Store, settle: Settle) -> Result<Order, Failure> {
    // Without the preset first: a wrong setting is said before an image is looked for.
    refuse_files(&given)?;
    let draft: TrainConfig = given.config(Values::new())?;
    let (_, set) = given.data_set()?;
    let names = trained_names(&draft, &set)?;
    let weights = match given.launch.weights {
        Some(_) => Some(initial_weights(&given, &draft, names.len())?),
        None => None,
    };
    let (image, variant) = given.image(store, settle, &draft.compute, draft.amp)?;
    let preset = match given.preset {
        Some(_) => Values::new(),
        None => image_preset(store, &image, &draft.model)?,
    };
    let mut config: TrainConfig = given.config(preset)?;
    config.names = trained_names(&config, &set)?;
    let wanted = training_files(&set, &config).map_err(RunError::from)?;
    let data = (set.root().to_owned(), wanted);
    let settled = settle(&given.asked(Some(variant), &config.compute, config.amp))?;
    (config.compute, config.amp) = (settled.compute, settled.amp);
    Ok(given.order(Config::Train(config), (image, settled.devices), data, weights))
}

/// The files of `set` that a training reads.
pub(super) fn training_files(
    set: &DataSet,
    config: &TrainConfig,
) -> Result<Vec<Wanted>, DataSetError> {
    let mut wanted = Vec::new();
    for split in ["train", "val"] {
        let fraction = if split == "train" { config.fraction } else { 1.0 };
        let pictures = spread(set.images(split)?, fraction);
        wanted.extend(pictures_and_labels(set, split, pictures)?);
    }
    Ok(wanted)
}

/// Labels of Pascal VOC name their classes, and with `single_cls` the trainer has no names to find
/// `classes` by.
fn told_apart(single_cls: bool, classes: &[u32], set: &DataSet) -> Result<(), RunError> {
    if single_cls && !classes.is_empty() && set.format() == Format::Voc {
        let reason = "with single_cls they cannot be told apart in a Pascal VOC set, whose labels \
                      name their classes";
        return Err(ConfigError::Value { key: "classes".into(), reason: reason.into() }.into());
    }
    Ok(())
}

/// The classes that the model learns to tell apart.
fn trained_names(config: &TrainConfig, set: &DataSet) -> Result<Vec<String>, RunError> {
    let names = set.names();
    check_classes(&config.classes, names, "data set")?;
    told_apart(config.single_cls, &config.classes, set)?;
    Ok(if config.single_cls { vec![SINGLE_CLASS.to_owned()] } else { names.to_vec() })
}

/// `of`: whose names they are.
fn check_classes(classes: &[u32], names: &[String], of: &str) -> Result<(), RunError> {
    let Some(class) = classes.iter().find(|class| **class as usize >= names.len()) else {
        return Ok(());
    };
    let reason = format!("{class} is not below the number of classes of the {of}, {}", names.len());
    Err(ConfigError::Value { key: "classes".into(), reason }.into())
}

/// The share `fraction` of `pictures`, at even distances; at least one.
fn spread(pictures: Vec<PathBuf>, fraction: f64) -> Vec<PathBuf> {
    let kept = |count: usize| (count as f64 * fraction) as usize;
    let none = kept(pictures.len()) == 0;
    let chosen = |i: usize| kept(i + 1) > kept(i) || (none && i == 0);
    pictures.into_iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, path)| path).collect()
}

/// `model=FILE` is how other tools name the weights to start from.
fn refuse_files(given: &Given) -> Result<(), RunError> {
    let Some(model) = given.config.get("model").and_then(|m| m.as_str()) else { return Ok(()) };
    let is_file = model.contains('/')
        || [".pt", ".pth", ".safetensors"].iter().any(|ending| model.ends_with(ending));
    match is_file {
        true => Err(RunError::ModelIsFile { model: model.into() }),
        false => Ok(()),
    }
}

/// Weights to start from must fit the model in shape; what their classes are called is free.
fn initial_weights(given: &Given, draft: &TrainConfig, ours: usize) -> Result<PathBuf, RunError> {
    let (path, info) = given.weights()?;
    if info.model != draft.model {
        return Err(RunError::OtherModel { path, found: info.model, wanted: draft.model.clone() });
    }
    match info.names.len() {
        theirs if theirs != ours => Err(RunError::OtherClasses { path, theirs, ours }),
        _ => Ok(path),
    }
}

fn image_preset(store: &Store, image: &StoredImage, model: &str) -> Result<Values, Failure> {
    let path = format!("{PRESETS}/{model}.yaml");
    let bytes = match store.read_file(image, &path) {
        Ok(bytes) => bytes,
        Err(crate::image::ImageError::NoFile { .. }) => {
            let known = store.list_files(image, PRESETS)?;
            let known = known.iter().filter_map(|f| f.strip_suffix(".yaml")).map(Into::into);
            return Err(RunError::NoPreset {
                image: image.reference.clone(),
                model: model.into(),
                known: known.collect(),
            }
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(parse_preset(Path::new(&path), &String::from_utf8_lossy(&bytes))?)
}

fn val(given: Given, store: &Store, settle: Settle) -> Result<Order, Failure> {
    given.config::<ValConfig>(Values::new())?;
    let (weights, info) = given.weights()?;
    let (yaml, set) = given.data_set()?;
    let mut config: ValConfig = given.config(from_weights(&info))?;
    // Where all classes are one, a model of one class fits whatever it is called.
    if !(config.single_cls && info.names.len() == 1) {
        same_names((&weights, &info.names), (&yaml, set.names()))?;
    }
    check_classes(&config.classes, set.names(), "data set")?;
    told_apart(config.single_cls, &config.classes, &set)?;
    (config.model, config.names) = (info.model, info.names);
    let pictures = set.images(&config.split).map_err(RunError::from)?;
    let wanted = pictures_and_labels(&set, &config.split, pictures).map_err(RunError::from)?;
    let data = (set.root().to_owned(), wanted);
    let (image, variant) = given.image(store, settle, &config.compute, Amp::Off)?;
    let settled = settle(&given.asked(Some(variant), &config.compute, Amp::Off))?;
    config.compute = settled.compute;
    Ok(given.order(Config::Val(config), (image, settled.devices), data, Some(weights)))
}

fn predict(given: Given, store: &Store, settle: Settle) -> Result<Order, Failure> {
    given.config::<PredictConfig>(Values::new())?;
    let (weights, info) = given.weights()?;
    let mut config: PredictConfig = given.config(from_weights(&info))?;
    check_classes(&config.classes, &info.names, "weights")?;
    (config.model, config.names) = (info.model, info.names);
    let needed = given.needs("pictures", "source=FILE_OR_FOLDER");
    let found =
        source::find(&given.request.directory, given.launch.source.as_ref().ok_or(needed)?)?;
    let data = (found.root, pictures("source", found.pictures));
    let (image, variant) = given.image(store, settle, &config.compute, Amp::Off)?;
    let settled = settle(&given.asked(Some(variant), &config.compute, Amp::Off))?;
    config.compute = settled.compute;
    Ok(given.order(Config::Predict(config), (image, settled.devices), data, Some(weights)))
}

/// An export reads nothing but the weights; their folder stands for the data's.
fn export(given: Given, store: &Store, settle: Settle) -> Result<Order, Failure> {
    given.config::<ExportConfig>(Values::new())?;
    let (weights, info) = given.weights()?;
    let mut config: ExportConfig = given.config(from_weights(&info))?;
    (config.model, config.names) = (info.model, info.names);
    let folder = weights.parent().expect("a file is in a folder").to_owned();
    if given.device.is_gpu() {
        return Err(RunError::Device { device: given.launch.device }.into());
    }
    let image = find_image(store, given.request.image.as_deref())?;
    let (device, variant) = (Device::Cpu, Some(Variant::Cpu));
    settle(&Asked { device, variant, compute: Config::EXPORT_COMPUTE, amp: Amp::Off })?;
    let image = (image, Devices::CPU);
    Ok(given.order(Config::Export(config), image, (folder, Vec::new()), Some(weights)))
}

/// Weights were trained at a size, and work best at it.
fn from_weights(info: &WeightsInfo) -> Values {
    Values::from_iter([("imgsz".to_owned(), info.imgsz.into())])
}

fn same_names(weights: (&Path, &[String]), data: (&Path, &[String])) -> Result<(), RunError> {
    let shown = |names: &[String], i: usize| {
        names.get(i).map_or("absent".to_owned(), |name| format!("`{name}`"))
    };
    let count = weights.1.len().max(data.1.len());
    match (0..count).find(|i| weights.1.get(*i) != data.1.get(*i)) {
        None => Ok(()),
        Some(index) => Err(RunError::NamesDiffer {
            index,
            ours: shown(data.1, index),
            ours_in: data.0.to_owned(),
            theirs: shown(weights.1, index),
            theirs_in: weights.0.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_spread_evenly_and_never_empty() {
        let pictures = |count: usize| (0..count).map(|i| PathBuf::from(i.to_string())).collect();
        let kept = |count, fraction| {
            let kept = spread(pictures(count), fraction).into_iter();
            kept.map(|path| path.to_str().unwrap().parse::<usize>().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(kept(5, 1.0), [0, 1, 2, 3, 4]);
        assert_eq!(kept(8, 0.5), [1, 3, 5, 7]);
        assert_eq!(kept(10, 0.3), [3, 6, 9]);
        assert_eq!(kept(10, 0.01), [0]);
        assert_eq!(kept(205, 0.1).len(), 20);
    }
}
