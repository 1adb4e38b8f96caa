//! What a run folder tells about its run, whole or cut short: anything that is missing or damaged
//! is left out.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use ybox_spec::config::{Config, Task};
use ybox_spec::dataset::is_image;
use ybox_spec::events::{self, Epoch, Event, Images, Metrics};
use ybox_spec::intervention::Intervention;
use ybox_spec::pictures;
use ybox_spec::record::Record;
use ybox_spec::results::{Line, Table};

use crate::record::{Glance, RunState, file, glance, pictures_below};

/// Larger pictures are not shown, nor more of them than this in bytes.
const PICTURE_BYTES: u64 = 16 << 20;
const ALL_PICTURES_BYTES: u64 = 48 << 20;

/// Pictures of a prediction that are shown.
const PREDICTED: usize = 12;

/// One run.
pub struct Story {
    pub name: String,
    pub state: RunState,
    pub config: Option<Config>,
    pub record: Option<Record>,
    pub parameters: Option<u64>,
    pub images: Images,
    /// What `auto` was settled to.
    pub settings: Map<String, Value>,
    pub epochs: Vec<Epoch>,
    /// Strengths of the augmentations over the epochs.
    pub strengths: Vec<Line>,
    /// Of a validation, or of the last epoch.
    pub metrics: Option<Metrics>,
    /// Pictures predicted on, and objects by class.
    pub predicted: (u64, Map<String, Value>),
    pub remarks: Vec<Remark>,
    pub seconds: Option<f64>,
    pub results: Table,
    pub pictures: Vec<Shown>,
}

/// Something that went otherwise than it should.
pub struct Remark {
    pub code: String,
    pub text: String,
    /// File and line, or epoch and step.
    pub place: Option<String>,
}

/// A picture of the run folder.
pub struct Shown {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Story {
    /// `None` for a folder that no run was started in.
    pub fn read(folder: &Path, name: &str) -> Option<Self> {
        let Glance { state, config, record } = glance(folder)?;
        let text = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let mut story = Self {
            name: name.to_owned(),
            state,
            config,
            record,
            parameters: None,
            images: Images::default(),
            settings: Map::new(),
            epochs: Vec::new(),
            strengths: Vec::new(),
            metrics: None,
            predicted: (0, Map::new()),
            remarks: Vec::new(),
            seconds: None,
            results: Table::parse(&text(file::RESULTS)),
            pictures: Vec::new(),
        };
        events::standing(&text(file::EVENTS)).into_iter().for_each(|line| story.hear(line.event));
        story.pictures = story.pictures_of(folder);
        Some(story)
    }

    /// Task, if the config or the record says it.
    pub fn task(&self) -> Option<Task> {
        self.config.as_ref().map(Config::task)
    }

    /// The epoch whose weights are `best.safetensors`.
    pub fn best(&self) -> Option<&Epoch> {
        self.epochs.iter().rev().find(|epoch| epoch.best)
    }

    /// Metrics of the best epoch, or of the validation.
    pub fn best_metrics(&self) -> Option<&Metrics> {
        self.best().map(|epoch| &epoch.metrics).or(self.metrics.as_ref())
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Start { parameters, images, .. } => {
                (self.parameters, self.images) = (Some(parameters), images);
            }
            Event::Settings { values } => self.settings = values,
            Event::Augmentation { epoch, values } => self.hear_strengths(epoch.into(), &values),
            Event::Epoch(epoch) => self.epochs.push(epoch),
            Event::Metrics(metrics) => self.metrics = Some(metrics),
            Event::Predicted { objects, .. } => self.count(objects),
            Event::Finished { seconds } => self.seconds = Some(seconds),
            Event::Note { code, message, file, line } => {
                let place = file.map(|file| match line {
                    Some(line) => format!("{file}:{line}"),
                    None => file,
                });
                self.remarks.push(Remark { code, text: message, place });
            }
            Event::Intervention(intervention) => {
                let Intervention { epoch, step, action, message: text, .. } = intervention;
                let place = Some(format!("epoch {epoch}, after step {step}"));
                self.remarks.push(Remark { code: action.code().into(), text, place });
            }
            Event::Failed { code, message, hint } => {
                let text = hint.map_or(message.clone(), |hint| format!("{message} ({hint})"));
                self.remarks.push(Remark { code, text, place: None });
            }
            Event::Resumed { epoch, step, .. } => {
                let text = format!("resumed in epoch {epoch}, after step {step}");
                self.remarks.push(Remark { code: "resumed".into(), text, place: None });
            }
            Event::Interrupted { epoch } => {
                let text = format!("stopped on request after {epoch} epochs");
                self.remarks.push(Remark { code: "interrupted".into(), text, place: None });
            }
            Event::OutOfTime { epoch } => {
                let text = format!("its time was spent after {epoch} epochs");
                self.remarks.push(Remark { code: "out-of-time".into(), text, place: None });
            }
            _ => {}
        }
    }

    fn hear_strengths(&mut self, epoch: f64, values: &Map<String, Value>) {
        for (key, value) in values {
            let point = [epoch, value.as_f64().unwrap_or(f64::NAN)];
            match self.strengths.iter_mut().find(|line| line.label == *key) {
                Some(line) => line.points.push(point),
                None => self.strengths.push(Line { label: key.clone(), points: vec![point] }),
            }
        }
    }

    fn count(&mut self, objects: Map<String, Value>) {
        self.predicted.0 += 1;
        for (name, count) in objects {
            let sum = self.predicted.1.entry(name).or_insert_with(|| 0.into());
            *sum = (sum.as_u64().unwrap_or(0) + count.as_u64().unwrap_or(0)).into();
        }
    }

    fn pictures_of(&self, folder: &Path) -> Vec<Shown> {
        let names: Vec<String> = match self.task() {
            Some(Task::Predict) => pictures_below(folder).into_iter().take(PREDICTED).collect(),
            _ => pictures::all()
                // The page draws these itself.
                .filter(|name| *name != pictures::RESULTS && is_image(Path::new(name)))
                .map(str::to_owned)
                .collect(),
        };
        let mut room = ALL_PICTURES_BYTES;
        let mut shown = Vec::new();
        for name in names {
            if let Some(bytes) = picture(&folder.join(&name), room.min(PICTURE_BYTES)) {
                room -= bytes.len() as u64;
                shown.push(Shown { name, bytes });
            }
        }
        shown
    }
}

/// The content of a picture of at most `limit` bytes. Links are not followed: they could show what
/// lies elsewhere.
fn picture(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    (meta.is_file() && meta.len() <= limit).then(|| fs::read(path).ok()).flatten()
}
