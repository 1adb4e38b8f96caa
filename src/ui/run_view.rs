//! A run as a person, or a program, follows it: the trainer's lines become bars and rows, or go to
//! standard output as they are.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};
use ybox_spec::events::{Event, Images, Line, Metrics, Progress};

use super::rows;
use super::screen::{Bar, Screen};

/// Notes beyond this many are counted, not shown.
const NOTES: usize = 10;

/// Follows one run.
pub struct RunView {
    screen: Screen,
    /// Takes the trainer's lines unchanged.
    stream: Option<Box<dyn Write>>,
    /// The bar of a phase.
    bar: Option<(String, Bar)>,
    notes: usize,
    /// The epoch whose header stands there.
    headed: u32,
}

impl RunView {
    /// For a person.
    pub fn talking(screen: Screen) -> Self {
        Self { screen, stream: None, bar: None, notes: 0, headed: 0 }
    }

    /// For a program: every line goes to `stream`.
    pub fn streaming(stream: Box<dyn Write>) -> Self {
        Self { stream: Some(stream), ..Self::talking(Screen::silent()) }
    }

    pub fn say(&self, line: &str) {
        self.screen.say(line);
    }

    pub fn bar(&self, label: &str, total: u64) -> Bar {
        self.screen.bar(label, total)
    }

    /// Writes a line to the stream, if this is one.
    pub fn stream(&mut self, line: &str) {
        if let Some(stream) = &mut self.stream {
            // Nobody listening is no reason to lose a run.
            let _ = writeln!(stream, "{line}").and_then(|()| stream.flush());
        }
    }

    /// A line of the trainer's standard output; `event` is what it says, if it is an event.
    pub fn line(&mut self, text: &str, event: Option<&Line>) {
        self.stream(text);
        match event {
            Some(line) => self.event(&line.event),
            None => self.screen.say(text),
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Start { version, model, parameters, images, .. } => {
                let parameters = rows::grouped(*parameters);
                self.say(&format!(
                    "ytrain {version}: {model}, {parameters} parameters{}",
                    pictures(images)
                ));
            }
            Event::Settings { values } => self.settings(values),
            Event::MemoryPlan(plan) => self.say(rows::memory_plan(plan).trim_end()),
            Event::BatchPlan(plan) => self.say(rows::batch_plan(plan).trim_end()),
            // In force all along, or as the schedule has it: for the log.
            Event::Augmentation { .. } => {}
            Event::Note { message, file, line, .. } => self.note(message, file.as_deref(), *line),
            // Rare, and never left out.
            Event::Intervention(intervention) => {
                self.say(&format!("step guard: {}", intervention.message));
            }
            Event::Progress(progress) => self.progress(progress),
            Event::Epoch(epoch) => {
                self.bar = None;
                self.head(epoch.epoch);
                self.say(&rows::epoch_row(epoch));
                self.metrics(&Metrics { classes: Vec::new(), ..epoch.metrics.clone() });
            }
            Event::Metrics(metrics) => {
                self.bar = None;
                self.metrics(metrics);
            }
            Event::Predicted { .. } => {
                self.say(&rows::prediction_row(event).unwrap_or_default());
            }
            Event::Exported { path, bytes, input, output } => {
                let size = rows::bytes(*bytes);
                self.say(&format!("{path}: {size}, takes {input:?}, gives {output:?}"));
            }
            Event::Resumed { epoch, step, .. } => {
                self.say(&match step {
                    0 => "resumed from the start: there is no checkpoint yet".to_owned(),
                    _ => format!("resumed in epoch {epoch}, after step {}", rows::grouped(*step)),
                });
            }
            Event::Interrupted { epoch } => {
                self.bar = None;
                self.say(&format!("stopped after {epoch} epochs; everything so far is saved"));
            }
            Event::OutOfTime { epoch } => {
                self.bar = None;
                self.say(&format!(
                    "the time is spent after {epoch} epochs; everything so far is saved"
                ));
            }
            // Becomes the error that is shown last.
            Event::Failed { .. } => self.bar = None,
            Event::Finished { seconds } => {
                self.bar = None;
                self.say(&format!("done in {seconds:.1} s"));
            }
        }
    }

    fn settings(&self, values: &Map<String, Value>) {
        let mut values = values.clone();
        let augmentation = values.remove("augmentation");
        self.say(&format!("in force: {}", pairs(&values)));
        if let Some(Value::Object(mut strengths)) = augmentation {
            strengths.retain(|_, strength| strength.as_f64() != Some(0.0));
            self.say(&format!("augmentation: {}", pairs(&strengths)));
        }
    }

    fn note(&mut self, message: &str, file: Option<&str>, line: Option<u64>) {
        self.notes += 1;
        if self.notes > NOTES {
            return;
        }
        let place = match (file, line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            _ => String::new(),
        };
        self.say(&format!("note: {place}{message}"));
    }

    /// The header of an epoch stands above its bar, and is not repeated when the epoch is done.
    fn head(&mut self, epoch: u32) {
        if self.headed != epoch {
            self.say(&rows::epoch_header());
            self.headed = epoch;
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let label = match progress.phase.as_str() {
            "train" => {
                self.head(progress.epoch);
                rows::progress_row(progress)
            }
            "val" => rows::metrics_header(),
            phase => phase.to_owned(),
        };
        if self.bar.as_ref().is_none_or(|(phase, _)| *phase != progress.phase) {
            self.bar = None;
            self.bar = Some((progress.phase.clone(), self.screen.bar(&label, progress.total)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.label(&label);
            bar.position(progress.done, progress.total);
        }
    }

    fn metrics(&self, metrics: &Metrics) {
        self.say(&rows::metrics_header());
        for row in rows::metrics_rows(metrics) {
            self.say(&row);
        }
    }

    /// When the trainer has ended: takes the bar away and says which notes were not shown.
    pub fn ended(&mut self, events: &Path) {
        self.bar = None;
        if self.notes > NOTES {
            self.say(&format!("note: and {} more, see {}", self.notes - NOTES, events.display()));
        }
    }
}

/// What follows on a model's parameters.
fn pictures(images: &Images) -> String {
    let counts = [(images.train, " train"), (images.val, " val"), (images.source, "")];
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, split)| format!("{}{split}", rows::grouped(count)))
        .collect();
    match counts.is_empty() {
        true => String::new(),
        false => format!("; {} images", counts.join(", ")),
    }
}

fn pairs(values: &Map<String, Value>) -> String {
    let shown = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let pairs: Vec<_> =
        values.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    pairs.join(" ")
}
