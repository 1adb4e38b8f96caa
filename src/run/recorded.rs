//! What a run folder says of its beginning, for who goes on with the run or repeats it: read,
//! checked against its own hashes, and made an order again.

use std::fs;
use std::path::{Path, PathBuf};

use ybox_spec::config::{Config, Launch, TrainConfig};
use ybox_spec::dataset::DataSet;
use ybox_spec::manifest::Manifest;
use ybox_spec::record::{Beginning, Circumstances, Inputs, Record, RecordError, START_SCHEMA};

use super::device;
use super::order::{Data, Settle, training_files};
use super::settle::{Asked, Settled};
use super::{Order, RunError};
use crate::diff::{data_changes, first_few};
use crate::image::{Store, StoredImage};
use crate::record::{Kind, Wanted, file};
use crate::ui::Failure;

/// The beginning of a run.
pub struct Recorded {
    pub folder: PathBuf,
    pub beginning: Beginning,
    pub config: Config,
    /// `None` where there is a record alone: the files are then found as a new run finds them.
    manifest: Option<Manifest>,
    /// What the reader is about to do, for errors: `resumed` or `replayed`.
    verb: &'static str,
}

impl Recorded {
    pub fn read(folder: &Path, verb: &'static str) -> Result<Self, RunError> {
        let not = |reason: String| RunError::not_again(folder, verb, reason);
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|e| not(format!("cannot read {name}: {e}")))
        };
        if !folder.join(file::START).exists() && folder.join(file::RECORD).exists() {
            return Self::of_record(folder, &text(file::RECORD)?, verb);
        }
        let damaged =
            |name: &str, e: &dyn std::fmt::Display| not(format!("{name} is damaged: {e}"));
        let beginning: Beginning =
            serde_json::from_str(&text(file::START)?).map_err(|e| damaged(file::START, &e))?;
        if beginning.schema != START_SCHEMA {
            return Err(not(format!("{} is not of the form {START_SCHEMA}", file::START)));
        }
        let config: Config =
            serde_yaml::from_str(&text(file::CONFIG)?).map_err(|e| damaged(file::CONFIG, &e))?;
        let manifest: Manifest =
            text(file::MANIFEST)?.parse().map_err(|e| damaged(file::MANIFEST, &e))?;
        let changed = |name| not(format!("{name} was changed since the run was started"));
        if config.digest() != beginning.inputs.config {
            return Err(changed(file::CONFIG));
        }
        if manifest.root() != beginning.inputs.data {
            return Err(changed(file::MANIFEST));
        }
        let manifest = Some(manifest);
        Ok(Self { folder: folder.to_owned(), beginning, config, manifest, verb })
    }

    /// What a record says without the files beside it.
    fn of_record(folder: &Path, text: &str, verb: &'static str) -> Result<Self, RunError> {
        let not = |reason: String| RunError::not_again(folder, verb, reason);
        let record = Record::read(text.as_bytes()).map_err(|error| {
            not(match error {
                RecordError::Malformed(e) => format!("{} is damaged: {e}", file::RECORD),
                RecordError::Changed => {
                    format!("{} was changed since it was written", file::RECORD)
                }
            })
        })?;
        let Circumstances { image, data, weights, launch, batch, started, .. } =
            record.circumstances;
        let launch: Launch = serde_json::from_value(launch)
            .map_err(|e| not(format!("{} is of another ybox: {e}", file::RECORD)))?;
        let (schema, inputs) = (START_SCHEMA.into(), record.inputs);
        let beginning = Beginning { schema, inputs, image, data, weights, launch, batch, started };
        let (folder, config) = (folder.to_owned(), record.config);
        Ok(Self { folder, beginning, config, manifest: None, verb })
    }

    /// Whether there is a record alone.
    pub fn is_record(&self) -> bool {
        self.manifest.is_none()
    }

    /// The same run again, with `launch`, whose places are those that are given anew. What the files of those
    /// places hold is compared when they are hashed.
    /// `config` is the run's, or with changes; it is settled for the device that `launch` names.
    pub fn order(
        &self,
        mut launch: Launch,
        config: TrainConfig,
        (directory, store, settle): (&Path, &Store, Settle),
    ) -> Result<Order, Failure> {
        let (device, note) = device::take(&mut launch).map_err(RunError::from)?;
        let image = self.image(store)?;
        let variant = Some(device::variant(store, &image)?);
        let (compute, amp) = (config.compute.clone(), config.amp);
        let Settled { compute, amp, devices, .. } =
            settle(&Asked { device, variant, compute, amp })?;
        device::settle_peers(&mut launch, &devices);
        let place = |given: &Option<String>| given.as_ref().map(|path| directory.join(path));
        let (root, wanted) = self.data(place(&launch.data), directory)?;
        let recorded = self.beginning.weights.as_ref().map(PathBuf::from);
        let weights = place(&launch.weights).or(recorded);
        let first = self.beginning.launch.clone();
        let launch = Launch {
            data: launch.data.or(first.data),
            weights: launch.weights.or(first.weights),
            cfg: first.cfg,
            ..launch
        };
        let parent = self.folder.parent().unwrap_or(directory).to_owned();
        Ok(Order {
            config: Config::Train(TrainConfig { compute, amp, ..config }),
            notes: note.into_iter().chain(device::unused(&devices)).collect(),
            devices,
            batch: None,
            image,
            root,
            wanted,
            weights,
            parent,
            launch,
            directory: directory.to_owned(),
            resumes: None,
            stop_after: None,
        })
    }

    fn image(&self, store: &Store) -> Result<StoredImage, Failure> {
        let config = self.beginning.inputs.image;
        store.with_config(&config)?.into_iter().next().ok_or_else(|| {
            let name = &self.beginning.image.reference;
            let reason = format!("its image, {name} with config {config}, is not in the store");
            Failure::from(RunError::not_again(&self.folder, self.verb, reason))
                .hint("build it from the same lock and the same trainer, or load it")
        })
    }

    /// Where the data lie, and which files the run reads of them: those that it read, no more and
    /// no fewer. `yaml` is where the data set is said to be now.
    fn data(&self, yaml: Option<PathBuf>, directory: &Path) -> Result<Data, RunError> {
        let Some(manifest) = &self.manifest else {
            let recorded = self.beginning.launch.data.as_ref().map(|yaml| directory.join(yaml));
            let set = DataSet::open(&yaml.or(recorded).unwrap_or_default())?;
            let Config::Train(config) = &self.config else {
                return Ok((PathBuf::new(), Vec::new()));
            };
            return Ok((set.root().to_owned(), training_files(&set, config)?));
        };
        let root = match yaml {
            Some(yaml) => DataSet::open(&yaml)?.root().to_owned(),
            None => PathBuf::from(&self.beginning.data.root),
        };
        let wanted = |entry: &ybox_spec::manifest::Entry| Wanted {
            split: entry.split.clone(),
            path: entry.path.clone().into(),
            kind: Kind::Annotation,
        };
        Ok((root, manifest.entries().iter().map(wanted).collect()))
    }
}

/// Refuses to go on with the run in `folder` from other inputs than it was started with. `found` are
/// those that are here, with their data.
pub fn same_inputs(
    folder: &Path,
    beginning: &Beginning,
    (found, data): (&Inputs, &Manifest),
) -> Result<(), RunError> {
    let differences = beginning.inputs.differences(found);
    let Some((what, ours, theirs)) = differences.first() else { return Ok(()) };
    let what = match *what {
        "data" => format!("other data: {}", changed_files(folder, data)),
        what => format!("another {what}: {ours}, here {theirs}"),
    };
    Err(RunError::OtherInputs { folder: folder.to_owned(), what })
}

/// Names the files of `data` that are not as the manifest of the run in `folder` has them.
fn changed_files(folder: &Path, data: &Manifest) -> String {
    let text = fs::read_to_string(folder.join(file::MANIFEST)).unwrap_or_default();
    let recorded = text.parse().unwrap_or_else(|_| Manifest::default());
    let mut changed: Vec<_> =
        data_changes(&recorded, data).into_iter().map(|change| change.path).collect();
    // One file can be of several splits.
    changed.sort();
    changed.dedup();
    format!("{} changed", first_few(&changed))
}
